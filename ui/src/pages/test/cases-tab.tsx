import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { api, client, type Schema } from "~/api/client";
import { useNs } from "~/app/namespace";
import { casePath, caseText } from "~/lib/cases";
import { activeFindings, findingText } from "~/lib/findings";
import { plural } from "~/lib/numbers";
import { Copy, cellText, Empty, Panel } from "~/parts/basics";
import { Dialog } from "~/parts/dialog";
import { SearchField, Toggles } from "~/parts/filters";
import { Loaded, Skeleton } from "~/parts/loaded";
import { More, OnlyFirst } from "~/parts/more";
import { Badge, State, StateIcon } from "~/parts/state";
import { StripBars } from "~/parts/strip";
import { Time, Took } from "~/parts/time";
import { CaseGrid } from "./case-grid";
import { MuteButton } from "./quarantine";
import { NoReport, STANDINGS } from "./standings";

const route = getRouteApi("/ns/$ns/tests/$test");
type Standing = Schema["Standing"];

const VIEWS = ["grid", "list"] as const;

/** The cases of a test: over its latest runs, or one by one with where each stands and since when. */
export function CasesTab({ test }: { test: Schema["TestDef"] }) {
  const ns = useNs();
  const search = route.useSearch();
  const navigate = useNavigate({ from: "/ns/$ns/tests/$test" });
  const set = (change: Partial<typeof search>, replace = false) =>
    void navigate({ search: (before) => ({ ...before, ...change }), replace, resetScroll: false });
  // What is searched for is found in the list; the grid has the cases that matter first.
  const view = search.view ?? (search.q || search.standing || search.slowest ? "list" : "grid");
  const cell = search.cell ? search.cell.split(",") : undefined;
  const { data: cells } = useQuery({
    ...api.queryOptions("get", "/api/v1/namespaces/{namespace}/tests/{test}/cells", {
      params: { path: { namespace: ns, test: test.name } },
    }),
    select: (page) => page.items.map((each) => pairs(each.cell)).filter(Boolean),
  });
  return (
    <Panel
      title="Cases"
      actions={
        <>
          {view === "list" ? (
            <>
              <SearchField
                value={search.q}
                label="Search cases"
                onSearch={(q) => set({ q, view: "list" }, true)}
              />
              <Toggles
                label="Standing"
                options={(Object.keys(STANDINGS) as Standing[]).map((value) => ({
                  value,
                  name: (
                    <>
                      <StateIcon state={STANDINGS[value].icon} size={12} /> {STANDINGS[value].word}
                    </>
                  ),
                }))}
                chosen={search.standing ? [search.standing] : undefined}
                onChange={(next) =>
                  set({ standing: next?.find((each) => each !== search.standing), view: "list" })
                }
              />
              <Toggles
                label="Order"
                options={[{ value: "true", name: "slowest first" }]}
                chosen={search.slowest ? ["true"] : undefined}
                onChange={(next) => set({ slowest: next ? "true" : undefined, view: "list" })}
              />
            </>
          ) : null}
          {cells && (cells.length > 1 || search.cell) ? (
            <select
              className="input max-w-full"
              aria-label="Cell"
              value={search.cell ?? ""}
              onChange={(event) => set({ cell: event.target.value || undefined })}
            >
              <option value="">all cells</option>
              {(search.cell && !cells.includes(search.cell) ? [search.cell, ...cells] : cells).map((each) => (
                <option key={each} value={each}>
                  {each}
                </option>
              ))}
            </select>
          ) : null}
          <Toggles
            label="View"
            options={VIEWS.map((value) => ({ value, name: value }))}
            chosen={[view]}
            onChange={(next) => {
              const other = next?.find((each) => each !== view);
              if (other === "list") set({ view: "list" });
              else if (other) set({ view: undefined, q: undefined, standing: undefined, slowest: undefined });
            }}
          />
        </>
      }
    >
      {view === "grid" ? (
        <CaseGrid key={search.cell} test={test} cell={cell} />
      ) : (
        <CaseList test={test} cell={cell} />
      )}
      {search.case ? (
        <CaseDialog test={test} id={search.case} onClose={() => set({ case: undefined })} />
      ) : null}
    </Panel>
  );
}

/** A cell as the address and the API have it: `region=nyc,os=linux`. */
function pairs(cell: Record<string, string>): string {
  return Object.entries(cell)
    .map(([key, value]) => `${key}=${value}`)
    .join(",");
}

/** The cases one by one: where each stands, and since when. */
function CaseList({ test, cell }: { test: Schema["TestDef"]; cell: string[] | undefined }) {
  const ns = useNs();
  const search = route.useSearch();
  const path = { namespace: ns, test: test.name };
  const filter = {
    q: search.q,
    standing: search.standing ? [search.standing] : undefined,
    slowest: search.slowest ? true : undefined,
    cell,
    page_size: 100,
  };
  const query = useInfiniteQuery({
    queryKey: ["get", "/api/v1/namespaces/{namespace}/tests/{test}/cases", { path, filter }, "pages"],
    queryFn: async ({ pageParam, signal }) => {
      const { data } = await client.GET("/api/v1/namespaces/{namespace}/tests/{test}/cases", {
        params: { path, query: { ...filter, page_token: pageParam || undefined } },
        signal,
      });
      return data!;
    },
    initialPageParam: "",
    getNextPageParam: (page) => page.next_page_token,
  });
  const items = query.data?.pages.flatMap((page) => page.items) ?? [];
  const isFiltered = Boolean(search.q || search.standing || search.cell);
  return (
    <Loaded query={query} what="The cases" skeleton={<Skeleton rows={10} />}>
      {() =>
        items.length === 0 ? (
          isFiltered ? (
            <Empty title="No case is like that" />
          ) : (
            <NoReport />
          )
        ) : (
          <>
            <div className="overflow-x-auto">
              <table className="tbl">
                <thead>
                  <tr>
                    <th>Standing</th>
                    <th className="w-full">Case</th>
                    <th className="max-md:hidden">Since</th>
                    <th className="num">Took</th>
                    <th>Seen</th>
                  </tr>
                </thead>
                <tbody>
                  {items.map((each) => (
                    <CaseRow key={`${each.case_id} ${cellText(each.cell)}`} each={each} />
                  ))}
                </tbody>
              </table>
            </div>
            <More query={query} shown={items.length} what="case" />
          </>
        )
      }
    </Loaded>
  );
}

function CaseRow({ each }: { each: Schema["CaseState"] }) {
  const standing = STANDINGS[each.standing];
  const finding = activeFindings(each.findings)[0];
  return (
    <tr className={each.standing === "removed" ? "opacity-65" : ""}>
      <td>
        <State state={standing.icon}>{standing.word}</State>
      </td>
      <td className="min-w-56 wrap-anywhere">
        <Link
          from="/ns/$ns/tests/$test"
          to="."
          search={(before) => ({ ...before, case: each.case_id })}
          resetScroll={false}
          className="link text-ink"
        >
          <span className="text-muted">{casePath(each.key) ? `${casePath(each.key)} › ` : ""}</span>
          <span className="font-medium">{each.key.name}</span>
        </Link>{" "}
        {each.status === "healthy" ? null : (
          <Badge
            tone={each.status === "broken" ? "fail" : "warn"}
            title={finding ? findingText(finding) : undefined}
          >
            {each.status}
          </Badge>
        )}
        {Object.keys(each.cell).length > 0 ? (
          <span className="block text-muted">{cellText(each.cell)}</span>
        ) : null}
        {finding && each.status !== "healthy" ? (
          <span className="block text-muted">{findingText(finding)}</span>
        ) : null}
      </td>
      <td className="max-md:hidden">
        {each.since ? (
          <span title={`in ${plural(each.since.runs, "run")}`}>
            <Time at={each.since.first.at} />
          </span>
        ) : (
          "–"
        )}
      </td>
      <td className="num">{each.duration_ms === undefined ? "–" : <Took ms={each.duration_ms} />}</td>
      <td>
        <Time at={each.last_seen.at} />
      </td>
    </tr>
  );
}

const ENDS = { pass: "p", fail: "f", error: "e", skip: "c" } as const;

/** The latest runs of a case as bars; the list below says the same, and has the links. */
function CaseStrip({ runs }: { runs: Schema["CaseRun"][] }) {
  const list = [...runs]
    .reverse()
    .map((run) => (run.flaky && run.status === "pass" ? "r" : ENDS[run.status]));
  return <StripBars list={list} />;
}

/** One case: its cells, its latest runs, and what can be done about it. */
function CaseDialog({ test, id, onClose }: { test: Schema["TestDef"]; id: string; onClose: () => void }) {
  const ns = useNs();
  const path = { namespace: ns, test: test.name, case: id };
  const state = useQuery(
    api.queryOptions("get", "/api/v1/namespaces/{namespace}/tests/{test}/cases/{case}", { params: { path } }),
  );
  const history = useQuery(
    api.queryOptions("get", "/api/v1/namespaces/{namespace}/tests/{test}/cases/{case}/history", {
      params: { path, query: { page_size: 60 } },
    }),
  );
  const key = state.data?.items[0]?.key;
  return (
    <Dialog title={key ? caseText(key) : "Case"} onClose={onClose} wide>
      <div className="mb-3 flex flex-wrap items-center gap-2 text-sm">
        <span className="flex items-center text-muted">
          <code className="code">{id}</code>
          <Copy text={id} label="Copy the id of the case" />
        </span>
        <span className="ml-auto">
          {key ? <MuteButton test={test} caseId={id} name={caseText(key)} /> : null}
        </span>
      </div>
      <Loaded query={history} what="Its history">
        {(page) =>
          page.items.length === 0 ? (
            <p className="text-sm text-muted">No run that is still kept had it.</p>
          ) : (
            <ul className="text-sm">
              <li className="pb-2">
                <CaseStrip runs={page.items} />
              </li>
              {page.items.map((run) => (
                <li key={`${run.run_id} ${run.attempt}`} className="border-b py-1.5 last:border-b-0">
                  <div className="flex flex-wrap items-center gap-x-3">
                    <State state={run.status} />
                    <Link
                      className="link inline-flex min-h-6 items-center"
                      to="/ns/$ns/runs/$run"
                      params={{ ns, run: run.run_id }}
                      search={{ tab: "cases", case: id }}
                    >
                      <Time at={run.finished_at} />
                    </Link>
                    {cellText(run.cell) ? <span className="text-muted">{cellText(run.cell)}</span> : null}
                    {run.flaky ? <Badge tone="warn">on retry</Badge> : null}
                    {run.muted ? <Badge tone="idle">muted</Badge> : null}
                    <span className="ml-auto text-muted">
                      {run.duration_ms === undefined ? null : <Took ms={run.duration_ms} />}
                    </span>
                  </div>
                  {run.message ? (
                    <p className="code line-clamp-2 text-muted wrap-anywhere">{run.message}</p>
                  ) : null}
                </li>
              ))}
              <li>
                <OnlyFirst
                  page={page}
                  what="runs"
                  command={`tstr ctl case history ${test.name} ${id} --namespace ${ns}`}
                />
              </li>
            </ul>
          )
        }
      </Loaded>
    </Dialog>
  );
}
