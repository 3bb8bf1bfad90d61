import { Link } from "@tanstack/react-router";
import { useState } from "react";
import type { Schema } from "~/api/client";
import { useNs } from "~/app/namespace";
import { count } from "~/lib/numbers";
import { zoneLabel } from "~/lib/time";
import { nextOf } from "~/lib/timetable";
import { Panel } from "~/parts/basics";
import { Icon } from "~/parts/icons";
import { Ledger, Upcoming } from "~/parts/schedule";
import { Badge } from "~/parts/state";
import { Time } from "~/parts/time";
import { PauseButton } from "./pause";
import { RunNow } from "./run-now";

/** The tests by what comes next; each opens to its next ten instants and to what became of those before. */
export function Agenda({
  tests,
  zone,
  nowMs,
}: {
  tests: Schema["TimetableTest"][];
  zone: string;
  nowMs: number;
}) {
  const [open, setOpen] = useState<string>();
  return (
    <Panel>
      <div className="overflow-x-auto">
        <table className="tbl">
          <thead>
            <tr>
              <th>
                <span className="visually-hidden">Open</span>
              </th>
              <th>Next ({zoneLabel(new Date(), zone)})</th>
              <th />
              <th className="w-full">Test</th>
              <th>Schedule</th>
              <th className="num max-md:hidden">A week</th>
              <th>
                <span className="visually-hidden">Run now, pause or resume</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {tests.map((test) => (
              <Row
                key={test.test_id}
                test={test}
                nowMs={nowMs}
                isOpen={open === test.test_id}
                onToggle={() => setOpen(open === test.test_id ? undefined : test.test_id)}
              />
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}

function Row({
  test,
  nowMs,
  isOpen,
  onToggle,
}: {
  test: Schema["TimetableTest"];
  nowMs: number;
  isOpen: boolean;
  onToggle: () => void;
}) {
  const ns = useNs();
  const next = nextOf(test, nowMs);
  return (
    <>
      <tr>
        <td className="py-1 pr-0">
          <button
            type="button"
            className="btn btn-quiet btn-icon"
            aria-expanded={isOpen}
            aria-label={`${test.name}: the next instants, and what became of those before`}
            onClick={onToggle}
          >
            <Icon name={isOpen ? "down" : "right"} size={14} />
          </button>
        </td>
        <td>{test.paused ? <Badge tone="idle">paused</Badge> : <Time at={next} how="absolute" />}</td>
        <td className="text-muted">{test.paused || !next ? null : <Time at={next} />}</td>
        <td className="min-w-40">
          <Link
            className="link font-medium text-ink"
            to="/ns/$ns/tests/$test"
            params={{ ns, test: test.name }}
            search={{ tab: "schedule" }}
          >
            {test.name}
          </Link>
        </td>
        <td className="min-w-64">
          {test.description}
          <span className="block text-muted">
            <code className="code">{test.cron_schedule}</code> {test.time_zone}
          </span>
        </td>
        <td className="num max-md:hidden">{count(test.count)}</td>
        <td className="py-1 whitespace-nowrap">
          <RunNow test={test.name} />
          <PauseButton test={test} />
        </td>
      </tr>
      {isOpen ? (
        <tr>
          <td colSpan={7} className="bg-canvas p-0">
            {/* As wide as the window and not as the table, which may be wider than a small one. */}
            <div className="sticky left-0 grid max-w-[calc(100vw-2rem)] grid-cols-1 items-start gap-4 p-3.5 lg:grid-cols-2">
              <section className="panel" aria-label={`The next instants of ${test.name}`}>
                <Upcoming test={test.name} cron={test.cron_schedule} />
              </section>
              <section className="panel" aria-label={`What became of the instants of ${test.name}`}>
                <Ledger test={test.name} size={10} />
              </section>
            </div>
          </td>
        </tr>
      ) : null}
    </>
  );
}
