import { useQueries } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { api, type Schema } from "~/api/client";
import { useNs } from "~/app/namespace";
import { useZone } from "~/app/settings";
import { plural } from "~/lib/numbers";
import { clock, day, weekday, zoneLabel } from "~/lib/time";
import { Panel } from "~/parts/basics";

const DAY = 86_400_000;
/** One request a test: the week is for looking at some, and the search narrows them down. */
const MOST_TESTS = 40;
/** As many instants as the server tells at once; a test that has more of them in a week is told as such. */
const INSTANTS = 100;

interface Start {
  test: string;
  at: string;
  note?: string;
}

/** The next seven days, hour by hour. */
export function Week({ tests }: { tests: Schema["TestDef"][] }) {
  const ns = useNs();
  const zone = useZone();
  const shown = tests.filter((test) => !test.paused).slice(0, MOST_TESTS);
  const answers = useQueries({
    queries: shown.map((test) => ({
      ...api.queryOptions("get", "/api/v1/namespaces/{namespace}/tests/{test}/schedule", {
        params: { path: { namespace: ns, test: test.name }, query: { count: INSTANTS } },
      }),
      staleTime: 10 * 60_000,
    })),
  });
  const now = Date.now();
  const days = Array.from({ length: 7 }, (_, index) => new Date(now + index * DAY));
  const often: string[] = [];
  const starts = new Map<string, Start[]>();
  answers.forEach((answer, index) => {
    const test = shown[index]?.name ?? "";
    const upcoming = answer.data?.upcoming ?? [];
    const last = upcoming.at(-1);
    // Its instants end before the week does: it runs so often that it would fill every field.
    if (last && upcoming.length >= INSTANTS && Date.parse(last.at) < now + 6.9 * DAY) {
      often.push(test);
      return;
    }
    for (const each of upcoming) {
      const at = new Date(each.at);
      const key = `${day(at, zone)} ${clock(at, zone).slice(0, 2)}`;
      starts.set(key, [...(starts.get(key) ?? []), { test, at: each.at, note: each.note }]);
    }
  });
  const loading = answers.some((answer) => answer.isPending);
  const failed = answers.filter((answer) => answer.error).length;
  return (
    <Panel title="The next seven days" note={`${zoneLabel(new Date(), zone)}${loading ? ", loading…" : ""}`}>
      {failed > 0 ? (
        <p role="status" className="border-b bg-warn-soft px-3.5 py-1.5 text-sm">
          The schedules of {plural(failed, "test")} could not be loaded.
        </p>
      ) : null}
      <div className="overflow-x-auto">
        <table className="w-full min-w-[640px] table-fixed border-collapse text-xs">
          <thead>
            <tr>
              <th className="w-12 py-1.5">
                <span className="visually-hidden">Hour</span>
              </th>
              {days.map((each) => (
                <th
                  key={each.getTime()}
                  scope="col"
                  className="border-l px-2 py-1.5 text-left font-medium text-muted"
                >
                  {weekday(each, zone)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {Array.from({ length: 24 }, (_, hour) => (
              <tr key={hour} className="border-t">
                <th scope="row" className="py-0.5 pr-2 text-right align-top font-normal text-muted">
                  {String(hour).padStart(2, "0")}
                </th>
                {days.map((each) => {
                  const here = starts.get(`${day(each, zone)} ${String(hour).padStart(2, "0")}`) ?? [];
                  return (
                    <td key={each.getTime()} className="h-6 border-l px-1 py-0.5 align-top">
                      {here.slice(0, 2).map((start) => (
                        <Link
                          key={`${start.test} ${start.at}`}
                          to="/ns/$ns/tests/$test"
                          params={{ ns, test: start.test }}
                          search={{ tab: "schedule" }}
                          className="mb-px flex min-h-6 items-center truncate rounded bg-accent-soft px-1.5 text-accent hover:underline"
                          title={`${start.test}, ${clock(new Date(start.at), zone)}${start.note ? `: ${start.note}` : ""}`}
                        >
                          <span className="truncate">
                            {start.note ? "! " : ""}
                            {clock(new Date(start.at), zone).slice(0, 5)} {start.test}
                          </span>
                        </Link>
                      ))}
                      {here.length > 2 ? (
                        <span
                          className="px-1.5 text-muted"
                          title={here.map((start) => start.test).join(", ")}
                        >
                          +{here.length - 2}
                        </span>
                      ) : null}
                    </td>
                  );
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {often.length > 0 || tests.length > shown.length ? (
        <p className="border-t px-3.5 py-2 text-sm text-muted">
          {often.length > 0 ? `So often that they are not shown: ${often.join(", ")}. ` : ""}
          {tests.filter((test) => !test.paused).length > MOST_TESTS
            ? `The ${MOST_TESTS} that come next are shown; a search narrows them down.`
            : ""}
        </p>
      ) : null}
    </Panel>
  );
}
