import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { api, client, type Schema } from "~/api/client";
import { isPaused } from "~/api/live";
import { useNs } from "~/app/namespace";
import { plural } from "~/lib/numbers";
import { duration } from "~/lib/time";
import { Empty } from "./basics";
import { Loaded, Skeleton } from "./loaded";
import { More } from "./more";
import { Badge, type Tone } from "./state";
import { Time } from "./time";

const OUTCOMES: Record<Schema["LedgerOutcome"], Tone> = { ran: "pass", skipped: "idle", missed: "warn" };

const REASONS: Record<Schema["LedgerReason"], string> = {
  concurrency: "runs of it or of its group were still under way",
  quota: "the quota of the namespace was used up",
  storage_full: "the server had no room for more runs",
  paused: "it was paused",
  unreadable: "the stored test could not be read",
  deadline: "it was later than its start_deadline",
  catch_up: "its catch_up does not ask for it",
};

/** A scheduler that looks this late is worth a word. */
const LATE_MS = 2_000;

/** No event tells that an instant has come to nothing, so it is asked for. */
const again = () => (isPaused() ? false : 30_000);

/** The next instants of a test, in its own zone as well, with what a jump of the clock does to them. */
export function Upcoming({ test, cron }: { test: string; cron: string | undefined }) {
  const ns = useNs();
  const query = useQuery({
    ...api.queryOptions("get", "/api/v1/namespaces/{namespace}/tests/{test}/schedule", {
      params: { path: { namespace: ns, test }, query: { count: 10 } },
    }),
    refetchInterval: again,
  });
  return (
    <Loaded query={query} what="The schedule" skeleton={<Skeleton rows={8} />}>
      {(data) => (
        <>
          <p className="border-b px-3.5 py-2.5 text-sm">
            {data.description} <code className="code text-muted">{cron}</code> in {data.time_zone}{" "}
            {data.paused ? <Badge tone="idle">paused</Badge> : null}
          </p>
          {data.upcoming.length === 0 ? (
            <p className="px-3.5 py-3 text-sm text-muted">
              {data.paused ? "Paused: nothing comes until it is resumed." : "It never comes again."}
            </p>
          ) : (
            <ol className="text-sm">
              {data.upcoming.map((each) => (
                <li key={each.at} className="flex flex-wrap gap-x-4 border-b px-3.5 py-1.5 last:border-b-0">
                  <Time at={each.at} how="absolute" />
                  <span className="text-muted">{each.local}</span>
                  <span className="ml-auto text-muted">
                    <Time at={each.at} />
                  </span>
                  {each.note ? <span className="w-full text-warn">{each.note}</span> : null}
                </li>
              ))}
            </ol>
          )}
        </>
      )}
    </Loaded>
  );
}

/** What became of the instants of a test: those that ran, and those that did not, with the reason. */
export function Ledger({ test, size = 50 }: { test: string; size?: number }) {
  const ns = useNs();
  const path = { namespace: ns, test };
  const query = useInfiniteQuery({
    queryKey: ["get", "/api/v1/namespaces/{namespace}/tests/{test}/ledger", { path, size }, "pages"],
    queryFn: async ({ pageParam, signal }) => {
      const { data } = await client.GET("/api/v1/namespaces/{namespace}/tests/{test}/ledger", {
        params: { path, query: { page_size: size, page_token: pageParam || undefined } },
        signal,
      });
      return data!;
    },
    initialPageParam: "",
    getNextPageParam: (page) => page.next_page_token,
    refetchInterval: again,
  });
  const entries = query.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <Loaded query={query} what="The ledger" skeleton={<Skeleton rows={8} />}>
      {() =>
        entries.length === 0 ? (
          <Empty title="No instant of it has come yet" />
        ) : (
          <>
            <ul className="text-sm">
              {entries.map((entry) => (
                <Entry key={`${entry.scheduled_for} ${entry.noted_at}`} entry={entry} />
              ))}
            </ul>
            <More query={query} shown={entries.length} what="entry" />
          </>
        )
      }
    </Loaded>
  );
}

function Entry({ entry }: { entry: Schema["LedgerEntry"] }) {
  const ns = useNs();
  const isLate = entry.late_ms !== undefined && entry.late_ms > LATE_MS;
  return (
    <li className="flex flex-wrap items-center gap-x-3 border-b px-3.5 py-1.5 last:border-b-0">
      <span className="w-18">
        <Badge tone={OUTCOMES[entry.outcome] ?? "idle"}>{entry.outcome}</Badge>
      </span>
      <span>
        <Time at={entry.scheduled_for} how="absolute" />
        {entry.until ? (
          <>
            {" "}
            to <Time at={entry.until} how="absolute" />
          </>
        ) : null}
      </span>
      <span className="text-muted wrap-anywhere">
        {[
          entry.instants > 1 ? plural(entry.instants, "instant") : "",
          entry.reason ? (REASONS[entry.reason] ?? entry.reason) : "",
          isLate ? `the scheduler looked ${duration(entry.late_ms ?? 0)} late` : "",
        ]
          .filter(Boolean)
          .join(", ")}
      </span>
      {entry.matrix_id && entry.runs > 0 ? (
        <Link className="link ml-auto" to="/ns/$ns/runs" params={{ ns }} search={{ matrix: entry.matrix_id }}>
          {plural(entry.runs, "run")}
        </Link>
      ) : null}
    </li>
  );
}
