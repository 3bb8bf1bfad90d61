import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { api, type Schema } from "~/api/client";
import { queueQuery, runnersQuery } from "~/api/queries";
import { useNs } from "~/app/namespace";
import { counted, plural } from "~/lib/numbers";
import { duration } from "~/lib/time";
import { Empty, Figure, Labels, Panel } from "~/parts/basics";
import { Icon } from "~/parts/icons";
import { Loaded, Skeleton } from "~/parts/loaded";
import { OnlyFirst } from "~/parts/more";
import { PageHead } from "~/parts/page-head";
import { Badge } from "~/parts/state";
import { Time, Took } from "~/parts/time";
import { ClassRuns } from "./class-runs";
import { LastWait } from "./last-wait";

const route = getRouteApi("/ns/$ns/queue");
type QueueClass = Schema["QueueClass"];

/** What names a class in the address: its labels, in an order that does not depend on who asks. */
function classKey(labels: Record<string, string>): string {
  return (
    Object.entries(labels)
      .map(([key, value]) => `${key}=${value}`)
      .sort()
      .join(",") || "none"
  );
}

/** Classes that no runner could serve come first, then those that wait longest. */
function byNeed(a: QueueClass, b: QueueClass): number {
  const stuck = Number(!!b.stranded) - Number(!!a.stranded);
  return stuck || (a.oldest ?? "9").localeCompare(b.oldest ?? "9");
}

/** What waits, by the labels that decide which runner may take it, and why. */
export function Queue() {
  const ns = useNs();
  const query = useQuery(queueQuery(ns));
  const { data: runners } = useQuery(runnersQuery(ns));
  const search = route.useSearch();
  const navigate = useNavigate({ from: "/ns/$ns/queue" });
  const set = (change: typeof search, replace = false) =>
    void navigate({ search: (before) => ({ ...before, ...change }), replace, resetScroll: false });
  const { data: summary } = useQuery(
    api.queryOptions("get", "/api/v1/namespaces/{namespace}/summary", {
      params: { path: { namespace: ns }, query: { interval: "day" } },
    }),
  );
  const live = runners?.items.filter((runner) => runner.state !== "offline") ?? [];
  const slots = live.reduce((sum, runner) => sum + runner.slots, 0);
  const used = live.reduce((sum, runner) => sum + runner.slots_used, 0);
  const wait = summary?.totals.wait;
  return (
    <>
      <PageHead
        title="Queue"
        note={
          <>
            Runs that wait for a runner, by placement class: those with the same labels.{" "}
            {query.data ? (
              <>
                Looked at <Time at={new Date(query.dataUpdatedAt).toISOString()} />.
              </>
            ) : null}
          </>
        }
      />
      <Loaded
        query={query}
        what="The queue"
        skeleton={
          <div className="panel">
            <Skeleton rows={6} height={20} />
          </div>
        }
      >
        {(page) => {
          const items = [...page.items].sort(byNeed);
          const all = items.flatMap((each) => [each.depth, each.gated]);
          const waiting = {
            count: all.reduce((sum, each) => sum + each.count, 0),
            more: all.some((each) => each.more) || page.next_page_token !== undefined,
          };
          const delayed = {
            count: items.reduce((sum, each) => sum + each.delayed.count, 0),
            more: items.some((each) => each.delayed.more),
          };
          const oldest = items
            .map((each) => each.oldest ?? "")
            .filter(Boolean)
            .sort()[0];
          const stranded = items.filter((each) => each.stranded);
          return (
            <>
              <Panel pad>
                <div className="grid grid-cols-2 gap-4 sm:grid-cols-4">
                  <Figure
                    name="Waiting"
                    value={counted(waiting)}
                    note={delayed.count > 0 ? `and ${counted(delayed)} for their time` : undefined}
                  />
                  <Figure name="Oldest" value={oldest ? <Took from={oldest} /> : "–"} />
                  <Figure
                    name="Slots in use"
                    value={`${used} of ${slots}`}
                    note={plural(live.length, "live runner")}
                  />
                  <Figure
                    name="Waited, 7 days"
                    value={wait ? duration(wait.p50_ms) : "–"}
                    note={wait ? `p95 ${duration(wait.p95_ms)}` : undefined}
                  />
                </div>
              </Panel>
              {stranded.length > 0 ? (
                <p className="flex items-center gap-2 rounded-lg bg-fail-soft px-4 py-2.5 text-sm">
                  <span className="text-fail">
                    <Icon name="close" size={14} />
                  </span>
                  {plural(stranded.length, "class", "classes")} cannot be placed: no live runner takes{" "}
                  {stranded.length === 1 ? "its" : "their"} runs.
                </p>
              ) : null}
              <Panel>
                {items.length === 0 ? (
                  <Empty title="Nothing waits">
                    <LastWait />
                    {wait ? `The median wait of 7 days is ${duration(wait.p50_ms)}. ` : ""}
                    <Link
                      className="prose-link"
                      to="/ns/$ns/runs"
                      params={{ ns }}
                      search={{ state: ["leased", "running"] }}
                    >
                      What runs now
                    </Link>
                  </Empty>
                ) : (
                  <div className="overflow-x-auto">
                    <table className="tbl">
                      <thead>
                        <tr>
                          <th>
                            <span className="visually-hidden">Open</span>
                          </th>
                          <th className="w-full">Class</th>
                          <th className="num">Waiting</th>
                          <th className="num max-md:hidden">Behind a gate</th>
                          <th className="num max-md:hidden">Later</th>
                          <th className="num">Oldest</th>
                          <th className="num">Runners</th>
                        </tr>
                      </thead>
                      <tbody>
                        {items.map((each) => {
                          const key = classKey(each.labels);
                          return (
                            <ClassRow
                              key={key}
                              each={each}
                              isOpen={search.class === key}
                              onToggle={() =>
                                set({ class: search.class === key ? undefined : key, q: undefined })
                              }
                              q={search.q}
                              onSearch={(q) => set({ q }, true)}
                            />
                          );
                        })}
                      </tbody>
                    </table>
                    <OnlyFirst page={page} what="classes" command={`tstr ctl queue --namespace ${ns}`} />
                  </div>
                )}
              </Panel>
            </>
          );
        }}
      </Loaded>
    </>
  );
}

function ClassRow({
  each,
  isOpen,
  onToggle,
  q,
  onSearch,
}: {
  each: QueueClass;
  isOpen: boolean;
  onToggle: () => void;
  q: string | undefined;
  onSearch: (q: string | undefined) => void;
}) {
  // One priority alone is worth a word only where it is not the usual one.
  const priorities =
    each.priorities.length > 1 || each.priorities[0]?.priority !== "normal" ? each.priorities : [];
  return (
    <>
      <tr>
        <td className="py-1 pr-0">
          <button
            type="button"
            className="btn btn-quiet btn-icon"
            aria-expanded={isOpen}
            aria-label={isOpen ? "Hide its runs" : "Show its runs, and why they wait"}
            onClick={onToggle}
          >
            <Icon name={isOpen ? "down" : "right"} size={14} />
          </button>
        </td>
        <td className="min-w-48">
          <Labels labels={each.labels} none="no labels: any runner" />
          {each.stranded ? (
            <span className="mt-1 flex flex-wrap items-center gap-2 text-sm">
              <Badge tone="fail">cannot be placed</Badge> {each.stranded.sentence}
            </span>
          ) : null}
          {priorities.length > 0 ? (
            <span className="mt-0.5 block text-muted">
              {priorities.map((priority, index) => (
                <span key={priority.priority}>
                  {index > 0 ? ", " : ""}
                  {counted(priority.depth)} {priority.priority}, since <Time at={priority.oldest} />
                </span>
              ))}
            </span>
          ) : null}
        </td>
        <td className="num font-medium">{counted(each.depth)}</td>
        <td className="num max-md:hidden">{each.gated.count > 0 ? counted(each.gated) : "–"}</td>
        <td className="num max-md:hidden">
          {each.delayed.count > 0 ? (
            <span>
              {counted(each.delayed)}
              {each.next_due ? (
                <span className="block text-muted">
                  <Time at={each.next_due} />
                </span>
              ) : null}
            </span>
          ) : (
            "–"
          )}
        </td>
        <td className="num">{each.oldest ? <Took from={each.oldest} /> : "–"}</td>
        <td className="num">
          <span className={each.live_runners === 0 ? "font-medium text-fail" : ""}>
            {each.live_runners} live
          </span>
          <span className="block text-muted">of {each.known_runners} known</span>
        </td>
      </tr>
      {isOpen ? (
        <tr>
          <td colSpan={7} className="bg-canvas">
            <div className="sticky left-3.5 max-w-[calc(100vw-4rem)]">
              <ClassRuns labels={each.labels} q={q} onSearch={onSearch} />
            </div>
          </td>
        </tr>
      ) : null}
    </>
  );
}
