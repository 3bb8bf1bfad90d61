import { Link } from "@tanstack/react-router";
import type { Schema } from "~/api/client";
import { useNs } from "~/app/namespace";
import { ends, isBad } from "~/lib/strip";
import { Badge, StateIcon } from "~/parts/state";
import { Time } from "~/parts/time";

/** A few tests, each with how it is. */
export function TestList({
  tests,
  none,
  mark,
}: {
  tests: Schema["TestState"][];
  none: string;
  mark?: (test: Schema["TestState"]) => string | undefined;
}) {
  const ns = useNs();
  if (tests.length === 0) return <p className="px-3.5 py-4 text-sm text-muted">{none}</p>;
  return (
    <ul className="py-1 text-sm">
      {tests.map((test) => {
        const bad = test.cells.filter((cell) => isBad(ends(cell.strip).at(-1))).length;
        const said = mark?.(test);
        return (
          <li key={test.test_id} className="flex min-h-8 items-center gap-2 px-3.5">
            <StateIcon state={test.status === "broken" ? "broken" : bad > 0 ? "fail" : test.status} alone />
            <Link
              className="link inline-flex min-h-6 min-w-0 items-center text-ink"
              to="/ns/$ns/tests/$test"
              params={{ ns, test: test.name }}
            >
              <span className="truncate">{test.name}</span>
            </Link>
            {said ? <Badge tone="fail">{said}</Badge> : null}
            <span className="ml-auto whitespace-nowrap text-muted">
              {test.cells.length > 1 && bad > 0 ? `${bad} of ${test.cells.length} cells, ` : ""}
              <Time at={test.last_at} />
            </span>
          </li>
        );
      })}
    </ul>
  );
}
