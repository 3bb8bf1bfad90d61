import { Link } from "@tanstack/react-router";
import type { Schema } from "~/api/client";
import { useNs } from "~/app/namespace";
import { count, counted } from "~/lib/numbers";
import { oldestMs } from "~/lib/overview";
import { duration } from "~/lib/time";

/** Where the tests stand that began to fail: no filter of the list of tests says since when. */
export const NEWLY = "newly-failing";

/** How the namespace is, in one sentence; each number leads to what it counts. */
export function Sentence({ said }: { said: Schema["Dashboard"] }) {
  const ns = useNs();
  const { tests, queue, runners } = said;
  const oldest = oldestMs(queue, said.as_of);
  return (
    <p className="text-base text-ink">
      <Link
        className={`prose-link ${tests.failing > 0 ? "font-medium text-fail" : ""}`}
        to="/ns/$ns/tests"
        params={{ ns }}
        search={{ state: ["broken", "failing"] }}
      >
        {count(tests.failing)}
      </Link>
      {" of "}
      <Link className="prose-link" to="/ns/$ns/tests" params={{ ns }}>
        {count(tests.total)} {tests.total === 1 ? "test" : "tests"}
      </Link>
      {" failing"}
      {tests.newly_failing > 0 ? (
        <>
          {", "}
          <Link className="prose-link" from="/ns/$ns" to="." search={(before) => before} hash={NEWLY}>
            {count(tests.newly_failing)} newly
          </Link>
          {" since yesterday"}
        </>
      ) : null}
      {"; "}
      {queue.depth.count === 0 ? (
        "nothing waits"
      ) : (
        <>
          {"queue "}
          <Link className="prose-link" to="/ns/$ns/queue" params={{ ns }}>
            {counted(queue.depth)}
          </Link>
          {oldest === undefined ? "" : `, oldest ${duration(oldest)}`}
        </>
      )}
      {queue.stranded > 0 ? (
        <>
          {", "}
          <Link className="prose-link font-medium text-fail" to="/ns/$ns/queue" params={{ ns }}>
            {queue.stranded} that no runner takes
          </Link>
        </>
      ) : null}
      {"; "}
      <Link className="prose-link" to="/ns/$ns/runners" params={{ ns }}>
        {count(runners.online)} of {count(runners.total)} {runners.total === 1 ? "runner" : "runners"}
      </Link>
      {" online"}
      {runners.draining > 0 ? (
        <>
          {", "}
          <Link className="prose-link" to="/ns/$ns/runners" params={{ ns }} search={{ state: "draining" }}>
            {count(runners.draining)} draining
          </Link>
        </>
      ) : null}
      {runners.slots > 0 ? (
        <>
          {", "}
          <Link
            className="prose-link"
            to="/ns/$ns/runs"
            params={{ ns }}
            search={{ state: ["leased", "running"] }}
          >
            {count(runners.slots_used)} of {count(runners.slots)} slots
          </Link>
          {" in use"}
        </>
      ) : null}
      .
    </p>
  );
}
