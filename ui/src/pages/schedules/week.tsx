import { Link } from "@tanstack/react-router";
import type { Schema } from "~/api/client";
import { useNs } from "~/app/namespace";
import { useZone } from "~/app/settings";
import { plural } from "~/lib/numbers";
import { clock, day, weekday, zoneLabel } from "~/lib/time";
import { Panel } from "~/parts/basics";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

interface Start {
  test: string;
  at: string;
}

/** The next seven days, hour by hour. */
export function Week({
  tests,
  from,
  byHour,
  isAll,
}: {
  tests: Schema["TimetableTest"][];
  from: string;
  /** How many start in each hour from `from` on, also those of tests that are not shown one by one. */
  byHour: number[];
  /** No test is left out by a search, so the counts are those of what is shown. */
  isAll: boolean;
}) {
  const ns = useNs();
  const zone = useZone();
  const begin = Date.parse(from);
  const days = Array.from({ length: 7 }, (_, index) => new Date(begin + index * DAY));
  const key = (at: Date) => `${day(at, zone)} ${clock(at, zone).slice(0, 2)}`;
  // A test with more instants than it tells would fill every field; it is named below instead.
  const often = tests.filter((test) => !test.paused && test.count > test.instants.length);
  const starts = new Map<string, Start[]>();
  for (const test of tests) {
    if (test.paused || often.includes(test)) continue;
    for (const at of test.instants) {
      const here = key(new Date(at));
      starts.set(here, [...(starts.get(here) ?? []), { test: test.name, at }]);
    }
  }
  const counts = new Map(byHour.map((n, index) => [key(new Date(begin + index * HOUR)), n]));
  return (
    <Panel title="The next seven days" note={zoneLabel(new Date(), zone)}>
      <div className="overflow-x-auto" tabIndex={0} role="region" aria-label="The next seven days">
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
                  const place = `${day(each, zone)} ${String(hour).padStart(2, "0")}`;
                  const here = starts.get(place) ?? [];
                  const more = (isAll ? (counts.get(place) ?? 0) : here.length) - Math.min(2, here.length);
                  return (
                    <td key={each.getTime()} className="h-6 border-l px-1 py-0.5 align-top">
                      {here.slice(0, 2).map((start) => (
                        <Link
                          key={`${start.test} ${start.at}`}
                          to="/ns/$ns/tests/$test"
                          params={{ ns, test: start.test }}
                          search={{ tab: "schedule" }}
                          className="mb-px flex min-h-6 items-center truncate rounded bg-accent-soft px-1.5 text-accent hover:underline"
                          title={`${start.test}, ${clock(new Date(start.at), zone)}`}
                        >
                          <span className="truncate">
                            {clock(new Date(start.at), zone).slice(0, 5)} {start.test}
                          </span>
                        </Link>
                      ))}
                      {more > 0 ? (
                        <span
                          className="px-1.5 text-muted"
                          title={here.map((start) => start.test).join(", ")}
                        >
                          {here.length === 0 ? plural(more, "start") : `+${more}`}
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
      {often.length > 0 ? (
        <p className="border-t px-3.5 py-2 text-sm text-muted wrap-anywhere">
          So often that they are only counted:{" "}
          {often.map((test) => `${test.name} (${plural(test.count, "start")})`).join(", ")}.
        </p>
      ) : null}
    </Panel>
  );
}
