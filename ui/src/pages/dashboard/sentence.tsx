import { Link } from "@tanstack/react-router";
import { useNs } from "~/app/namespace";
import { count, counted } from "~/lib/numbers";
import type { Overview } from "~/lib/overview";
import { duration } from "~/lib/time";

/** How the namespace is, in one sentence; each number leads to what it counts. */
export function Sentence({ said }: { said: Overview }) {
  const ns = useNs();
  return (
    <p className="text-base text-ink">
      <Link
        className={`prose-link ${said.failing > 0 ? "font-medium text-fail" : ""}`}
        to="/ns/$ns/tests"
        params={{ ns }}
        search={{ state: ["broken", "failing"] }}
      >
        {count(said.failing)}
      </Link>
      {" of "}
      <Link className="prose-link" to="/ns/$ns/tests" params={{ ns }}>
        {count(said.tests)} {said.tests === 1 ? "test" : "tests"}
      </Link>
      {" failing"}
      {said.newly > 0 ? `, ${said.newly} since ${said.newly === 1 ? "its" : "their"} latest run` : ""}
      {"; "}
      {said.waiting.count === 0 ? (
        "nothing waits"
      ) : (
        <>
          {"queue "}
          <Link className="prose-link" to="/ns/$ns/queue" params={{ ns }}>
            {counted(said.waiting)}
          </Link>
          {said.oldestMs === undefined ? "" : `, oldest ${duration(said.oldestMs)}`}
        </>
      )}
      {"; "}
      <Link className="prose-link" to="/ns/$ns/runners" params={{ ns }}>
        {said.online} of {count(said.runners)} {said.runners === 1 ? "runner" : "runners"}
      </Link>
      {" online."}
    </p>
  );
}
