import { infiniteQueryOptions, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { api, apiUrl, client, type Schema } from "~/api/client";
import { useNs } from "~/app/namespace";
import { casePath, caseText } from "~/lib/cases";
import { count, plural } from "~/lib/numbers";
import { Copy, Empty } from "~/parts/basics";
import { Dialog } from "~/parts/dialog";
import { SearchField } from "~/parts/filters";
import { Loaded, Problem, Skeleton } from "~/parts/loaded";
import { Badge, State, StateIcon, stateLabel } from "~/parts/state";
import { Took } from "~/parts/time";
import { CaseText } from "./case-text";
import { changesQuery } from "./changes";

const route = getRouteApi("/ns/$ns/runs/$run");
const STATUSES = ["fail", "error", "pass", "skip"] as const;
const PAGE = 200;
const FORMATS = ["junit", "ctrf", "tap", "json_lines"] as const;

/** Reports are in the order of their files; what failed is what a person looks for, so it is asked for first. */
const BAD_FIRST: Schema["CaseStatus"][][] = [
  ["fail", "error"],
  ["pass", "skip"],
];

/** Where a page begins: in which part, and behind which page of it. */
interface Place {
  part: number;
  token?: string;
}

interface CasePage {
  items: Schema["CaseResult"][];
  next: Place | undefined;
}

function placeBehind({ part }: Place, token: string | undefined, parts: number): Place | undefined {
  if (token) return { part, token };
  return part + 1 < parts ? { part: part + 1 } : undefined;
}

/** The cases of an attempt by pages: those of one status, or all, with those that failed first. */
function casePages(
  run: string,
  attempt: number,
  q: string | undefined,
  status: Schema["CaseStatus"] | undefined,
) {
  const parts = status ? [[status]] : BAD_FIRST;
  const path = { run };
  return infiniteQueryOptions({
    queryKey: ["get", "/api/v1/runs/{run}/cases", { path, attempt, q, status }, "pages"],
    queryFn: async ({ pageParam, signal }): Promise<CasePage> => {
      const items: Schema["CaseResult"][] = [];
      let at: Place | undefined = pageParam;
      // The first part is often small; then the page goes on with the second one.
      while (at && items.length < PAGE) {
        const query = { attempt, q, status: parts[at.part], page_size: PAGE, page_token: at.token };
        const { data } = await client.GET("/api/v1/runs/{run}/cases", { params: { path, query }, signal });
        items.push(...data!.items);
        at = placeBehind(at, data!.next_page_token, parts.length);
      }
      return { items, next: at };
    },
    initialPageParam: { part: 0 } as Place,
    getNextPageParam: (page) => page.next,
  });
}

/** The cases of a run's test reports. */
export function Cases({ run, attempt }: { run: Schema["Run"]; attempt: number }) {
  const search = route.useSearch();
  const navigate = useNavigate({ from: "/ns/$ns/runs/$run" });
  const path = { run: run.id };
  const results = useQuery(
    api.queryOptions("get", "/api/v1/runs/{run}/results", { params: { path, query: { attempt } } }),
  );
  const cases = useInfiniteQuery(casePages(run.id, attempt, search.q, search.status));
  const { data: changes } = useQuery({
    ...changesQuery(run.id),
    enabled: attempt === run.attempt && run.state === "finished",
  });
  const standing = new Map(changes?.items.map((change) => [change.case_id, change]));

  if (results.data && results.data.reports.length === 0 && (results.data.unread?.length ?? 0) === 0) {
    return (
      <Empty title="This attempt left no test report" command="pytest --junitxml=$TSTR_ARTIFACTS/junit.xml">
        Let the test framework write JUnit XML, CTRF or TAP into <code className="code">$TSTR_ARTIFACTS</code>
        , and each of its tests becomes a case here.
      </Empty>
    );
  }
  const items = cases.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <>
      <Loaded query={results} what="The reports" skeleton={<Skeleton rows={2} />}>
        {(data) => <Reports run={run} results={data} attempt={attempt} />}
      </Loaded>
      <div className="flex flex-wrap items-center gap-2 border-b px-3.5 py-2">
        <SearchField
          value={search.q}
          label="Search cases"
          onSearch={(q) =>
            void navigate({ search: (before) => ({ ...before, q }), replace: true, resetScroll: false })
          }
        />
        {STATUSES.map((status) => (
          <button
            key={status}
            type="button"
            aria-pressed={search.status === status}
            className={`btn px-2 ${search.status === status ? "border-accent bg-accent-soft" : ""}`}
            onClick={() =>
              void navigate({
                search: (before) => ({ ...before, status: search.status === status ? undefined : status }),
                resetScroll: false,
              })
            }
          >
            <StateIcon state={status} size={12} /> {stateLabel(status)}
          </button>
        ))}
      </div>
      <Loaded query={cases} what="The cases">
        {() =>
          items.length === 0 ? (
            <Empty title="No case is like that" />
          ) : (
            <ul className="text-sm">
              {items.map((each) => (
                <li key={`${each.case_id} ${each.place}`} className="border-b px-3.5 py-1.5 last:border-b-0">
                  <div className="flex items-start gap-2">
                    <span className="mt-1">
                      <StateIcon state={each.status} alone />
                    </span>
                    <div className="min-w-0 flex-1 wrap-anywhere">
                      <Link
                        from="/ns/$ns/runs/$run"
                        to="."
                        search={(before) => ({ ...before, case: each.case_id })}
                        resetScroll={false}
                        className="link inline-block min-h-6 text-left text-ink"
                      >
                        <span className="text-muted">
                          {casePath(each.key) ? `${casePath(each.key)} › ` : ""}
                        </span>
                        <span className="font-medium">{each.key.name}</span>
                      </Link>{" "}
                      {each.ordinal > 1 ? <span className="text-muted">#{each.ordinal} </span> : null}
                      {each.flaky ? <Badge tone="warn">flaky</Badge> : null}{" "}
                      {each.muted ? <Badge tone="idle">muted</Badge> : null}{" "}
                      <StandingBadge change={standing.get(each.case_id)} />
                      {each.message ? (
                        <p
                          className={`code line-clamp-2 ${each.status === "pass" ? "text-muted" : "text-fail"}`}
                        >
                          {each.message}
                        </p>
                      ) : null}
                    </div>
                    <span className="mt-0.5 text-muted">
                      {each.duration_ms !== undefined ? <Took ms={each.duration_ms} /> : null}
                    </span>
                  </div>
                </li>
              ))}
              {cases.hasNextPage ? (
                <li className="p-3 text-center">
                  <button
                    type="button"
                    className="btn"
                    aria-disabled={cases.isFetchingNextPage}
                    onClick={() => void cases.fetchNextPage()}
                  >
                    {cases.isFetchingNextPage
                      ? "Loading…"
                      : `More than ${count(items.length)}: load the next ${PAGE}`}
                  </button>
                </li>
              ) : null}
            </ul>
          )
        }
      </Loaded>
      {search.case ? (
        <CaseDialog
          run={run}
          attempt={attempt}
          id={search.case}
          onClose={() =>
            void navigate({ search: (before) => ({ ...before, case: undefined }), resetScroll: false })
          }
        />
      ) : null}
    </>
  );
}

function StandingBadge({ change }: { change: Schema["CaseChange"] | undefined }) {
  if (!change) return null;
  if (change.standing === "new") return <Badge tone="fail">new</Badge>;
  if (change.standing === "fixed") return <Badge tone="pass">fixed</Badge>;
  if (change.standing === "still_failing" && change.since) {
    return <Badge tone="idle">failing for {plural(change.since.runs, "run")}</Badge>;
  }
  return null;
}

/** What the reports say as a whole, and what was wrong with them: nothing is dropped silently. */
function Reports({
  run,
  results,
  attempt,
}: {
  run: Schema["Run"];
  results: Schema["Results"];
  attempt: number;
}) {
  const sum = results.cases;
  return (
    <div className="flex flex-col gap-1.5 border-b px-3.5 py-2.5 text-sm">
      <div className="flex flex-wrap items-center gap-x-4 gap-y-1">
        {sum ? (
          <>
            <span className="font-medium">{plural(sum.cases, "case")}</span>
            {sum.failed > 0 ? <State state="fail">{count(sum.failed)} failed</State> : null}
            {sum.errors > 0 ? <State state="error">{plural(sum.errors, "error")}</State> : null}
            <State state="pass">{count(sum.passed)} passed</State>
            {sum.skipped > 0 ? <State state="skip">{count(sum.skipped)} skipped</State> : null}
            {sum.flaky > 0 ? <State state="flaky">{count(sum.flaky)} flaky</State> : null}
            {sum.muted > 0 ? <State state="muted">{count(sum.muted)} muted</State> : null}
          </>
        ) : null}
        {results.partial ? <Badge tone="warn">only some cases were asked for</Badge> : null}
        <span className="ml-auto flex items-center gap-2 text-muted">
          as
          {FORMATS.map((format) => (
            <a
              key={format}
              className="link inline-flex min-h-6 items-center"
              download
              href={apiUrl(`/runs/${run.id}/report`, { attempt, format })}
            >
              {format === "json_lines" ? "JSON" : format === "junit" ? "JUnit" : format.toUpperCase()}
            </a>
          ))}
        </span>
      </div>
      {results.ruling === "excused" ? (
        <p>All cases that failed are muted, so the run counts as passed.</p>
      ) : null}
      {results.reports.map((report) => (
        <div key={report.path} className="text-muted wrap-anywhere">
          <code className="code text-ink">{report.path}</code> {report.format}
          {report.producer ? ` by ${report.producer}` : ""}
          {report.valid ? null : <Badge tone="fail">not valid</Badge>}
          {report.cases_over_limit
            ? ` ${count(report.cases_over_limit)} cases over the limit were only counted.`
            : ""}
          {report.notes?.map((note, index) => (
            <p key={index} className="pl-4">
              {note.line ? `line ${note.line}: ` : ""}
              {note.message}
            </p>
          ))}
        </div>
      ))}
      {results.unread?.map((report) => (
        <p key={report.path} className="text-warn wrap-anywhere">
          <code className="code">{report.path}</code> could not be read: {report.why}
        </p>
      ))}
    </div>
  );
}

function CaseDialog({
  run,
  attempt,
  id,
  onClose,
}: {
  run: Schema["Run"];
  attempt: number;
  id: string;
  onClose: () => void;
}) {
  const ns = useNs();
  const query = useQuery(
    api.queryOptions("get", "/api/v1/runs/{run}/cases/{case}", {
      params: { path: { run: run.id, case: id }, query: { attempt } },
    }),
  );
  const first = query.data?.items[0];
  return (
    <Dialog title={first ? caseText(first.case.key) : "Case"} onClose={onClose} wide>
      <div className="mb-3 flex flex-wrap items-center gap-3 text-sm">
        <Link
          className="link inline-flex min-h-6 items-center"
          to="/ns/$ns/tests/$test"
          params={{ ns, test: run.test_name }}
          search={{ tab: "cases", case: id }}
        >
          its history
        </Link>
        <span className="flex items-center text-muted">
          <code className="code">{id}</code>
          <Copy text={id} label="Copy the id of the case" />
        </span>
      </div>
      {query.error && !query.data ? <Problem error={query.error} /> : null}
      {query.data?.items.map((detail, index) => <CaseText key={index} detail={detail} />) ??
        (query.error ? null : <Skeleton rows={6} />)}
    </Dialog>
  );
}
