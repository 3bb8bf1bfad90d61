import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useNs } from "~/app/namespace";
import { StateIcon, type StateWord } from "~/parts/state";

/** A test of a short list, with what is said of it at the right. */
export interface Listed {
  id: string;
  name: string;
  /** Left out where the list itself says how they are. */
  state?: StateWord;
  note: ReactNode;
}

/** A few tests, each with how it is. */
export function TestList({ tests, none }: { tests: Listed[]; none: string }) {
  const ns = useNs();
  if (tests.length === 0) return <p className="px-3.5 py-4 text-sm text-muted">{none}</p>;
  return (
    <ul className="py-1 text-sm">
      {tests.map((test) => (
        <li key={test.id} className="flex min-h-8 items-center gap-2 px-3.5">
          {test.state ? <StateIcon state={test.state} alone /> : null}
          <Link
            className="link inline-flex min-h-6 min-w-0 items-center text-ink"
            to="/ns/$ns/tests/$test"
            params={{ ns, test: test.name }}
          >
            <span className="truncate">{test.name}</span>
          </Link>
          <span className="ml-auto whitespace-nowrap text-muted">{test.note}</span>
        </li>
      ))}
    </ul>
  );
}
