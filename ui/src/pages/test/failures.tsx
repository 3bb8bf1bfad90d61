import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { api, type Schema } from "~/api/client";
import { useNs } from "~/app/namespace";
import { caseText } from "~/lib/cases";
import { stripEscapes } from "~/lib/escapes";
import { count, plural } from "~/lib/numbers";
import { cellText, Empty, Panel } from "~/parts/basics";
import { Loaded, Skeleton } from "~/parts/loaded";
import { Time } from "~/parts/time";

const route = getRouteApi("/ns/$ns/tests/$test");
const DAYS = [1, 7, 14, 30, 90];

/** How many days are looked back, in the address. */
export function Days({ days }: { days: number }) {
  const navigate = useNavigate({ from: "/ns/$ns/tests/$test" });
  return (
    <select
      className="input"
      aria-label="How far back"
      value={days}
      onChange={(event) =>
        void navigate({
          search: (before) => ({ ...before, days: Number(event.target.value) }),
          resetScroll: false,
        })
      }
    >
      {(DAYS.includes(days) ? DAYS : [days, ...DAYS]).map((each) => (
        <option key={each} value={each}>
          {plural(each, "day")}
        </option>
      ))}
    </select>
  );
}

/** The failures of a test, those that say the same together. */
export function Failures({ test }: { test: Schema["TestDef"] }) {
  const ns = useNs();
  const days = Math.min(Math.max(route.useSearch().days ?? 14, 1), 90);
  const query = useQuery(
    api.queryOptions("get", "/api/v1/namespaces/{namespace}/tests/{test}/failures", {
      params: { path: { namespace: ns, test: test.name }, query: { days } },
    }),
  );
  return (
    <Panel title="Failures that say the same" actions={<Days days={days} />}>
      <Loaded query={query} what="The failures" skeleton={<Skeleton rows={8} />}>
        {(data) =>
          data.groups.length === 0 ? (
            <Empty title={`Nothing failed in ${plural(days, "day")}`}>
              Since <Time at={data.since} how="absolute" />.
            </Empty>
          ) : (
            <>
              <p className="border-b px-3.5 py-2 text-sm text-muted">
                {plural(data.failures, "failure")}
                {data.more_failures ? " (the newest; there are more)" : ""} in{" "}
                {plural(data.groups.length + data.more_groups, "group")} since{" "}
                <Time at={data.since} how="absolute" />
              </p>
              <ol className="text-sm">
                {data.groups.map((group) => (
                  <li key={group.fingerprint} className="border-b px-3.5 py-2.5 last:border-b-0">
                    <div className="flex flex-wrap items-baseline gap-x-4 gap-y-0.5">
                      <span className="text-base font-semibold">
                        {count(group.occurrences)}
                        <span className="ml-1 text-sm font-normal text-muted">
                          in {plural(group.runs, "run")}
                        </span>
                      </span>
                      <span className="text-muted">
                        first{" "}
                        <Link
                          className="link"
                          to="/ns/$ns/runs/$run"
                          params={{ ns, run: group.first_seen.run_id }}
                        >
                          <Time at={group.first_seen.at} />
                        </Link>
                        , last{" "}
                        <Link
                          className="link"
                          to="/ns/$ns/runs/$run"
                          params={{ ns, run: group.last_seen.run_id }}
                        >
                          <Time at={group.last_seen.at} />
                        </Link>
                      </span>
                      <code className="code ml-auto text-muted" title="Fingerprint">
                        {group.fingerprint.slice(0, 8)}
                      </code>
                    </div>
                    <p className="code mt-1 line-clamp-4 whitespace-pre-wrap text-fail wrap-anywhere">
                      {stripEscapes(group.message)}
                    </p>
                    <p className="mt-1 text-muted wrap-anywhere">
                      {group.cases.map((each, index) => (
                        <span key={each.case_id}>
                          {index > 0 ? ", " : ""}
                          <Link
                            className="link"
                            to="/ns/$ns/tests/$test"
                            params={{ ns, test: test.name }}
                            search={{ tab: "cases", case: each.case_id }}
                          >
                            {caseText(each.key)}
                          </Link>
                        </span>
                      ))}
                      {group.case_count > group.cases.length
                        ? ` and ${plural(group.case_count - group.cases.length, "more case")}`
                        : ""}
                      {group.cells.some((cell) => Object.keys(cell).length > 0)
                        ? ` in ${group.cells.map(cellText).join("; ")}`
                        : ""}
                    </p>
                  </li>
                ))}
              </ol>
              {data.more_groups > 0 ? (
                <p className="border-t px-3.5 py-2 text-sm text-muted">
                  and {plural(data.more_groups, "more group")}
                </p>
              ) : null}
            </>
          )
        }
      </Loaded>
    </Panel>
  );
}
