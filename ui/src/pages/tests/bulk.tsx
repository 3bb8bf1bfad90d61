import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type ReactNode, useRef, useState } from "react";
import { client } from "~/api/client";
import { isRefused } from "~/api/problem";
import { identityQuery, mayControl } from "~/api/session";
import { newKey } from "~/lib/key";
import { plural } from "~/lib/numbers";
import { Button } from "~/parts/basics";
import { ManyOutcomes, useMany } from "~/parts/many";
import { done } from "~/parts/toast";
import { BulkQuarantine } from "./bulk-quarantine";

type Action = "run" | "pause" | "resume";

const SAYS: Record<Action, string> = { run: "started", pause: "paused", resume: "resumed" };

/** What an action made of one test, for people; nothing where it only did what it says. */
type Made = ReactNode;

/** What can be done with several tests at once, and what became of each. */
export function Bulk({
  ns,
  names,
  all,
  onPick,
}: {
  ns: string;
  names: string[];
  /** The names of all tests that are listed. */
  all: string[];
  onPick: (names: string[]) => void;
}) {
  const { data: identity } = useQuery(identityQuery);
  const { many, start } = useMany<string, Made>();
  const [action, setAction] = useState<Action>();
  const [isAsking, setAsking] = useState(false);
  const why = mayControl(identity) ? undefined : "This needs a token with the scope control";
  const isRunning = many?.isRunning ?? false;
  // Of each test that was run without an answer: pressed again, it is the same run.
  const keys = useRef(new Map<string, string>());

  const act = async (wanted: Action) => {
    setAction(wanted);
    const outcomes = await start(names, async (test) => {
      const key = keys.current.get(test) ?? newKey();
      keys.current.set(test, key);
      try {
        const made = await ACTS[wanted](ns, test, key);
        keys.current.delete(test);
        return made;
      } catch (error) {
        if (isRefused(error)) keys.current.delete(test);
        throw error;
      }
    });
    const well = new Set(outcomes.filter((each) => each.error === undefined).map((each) => each.item));
    // Whoever presses again means those that are left.
    if (well.size < names.length) onPick(names.filter((name) => !well.has(name)));
    else done(`${plural(outcomes.length, "test")} ${SAYS[wanted]}`);
  };

  return (
    <div role="region" aria-label="Picked tests" className="panel px-3.5 py-2 text-sm">
      <div className="flex flex-wrap items-center gap-2">
        <span className="mr-2 font-medium">{plural(names.length, "test")} picked</span>
        <Button icon="play" busy={isRunning} why={why} onClick={() => void act("run")}>
          Run
        </Button>
        <Button icon="pause" busy={isRunning} why={why} onClick={() => void act("pause")}>
          Pause
        </Button>
        <Button icon="play" busy={isRunning} why={why} onClick={() => void act("resume")}>
          Resume
        </Button>
        <Button busy={isRunning} why={why} onClick={() => setAsking(true)}>
          Quarantine…
        </Button>
        {names.length < all.length ? (
          <Button kind="quiet" busy={isRunning} onClick={() => onPick(all)}>
            Pick all {all.length}
          </Button>
        ) : null}
        <Button kind="quiet" busy={isRunning} onClick={() => onPick([])}>
          Pick none
        </Button>
      </div>
      {many && action ? (
        <div className="mt-2 border-t pt-2">
          <ManyOutcomes
            many={many}
            what="test"
            says={SAYS[action]}
            name={(test) => (
              <Link className="link" to="/ns/$ns/tests/$test" params={{ ns, test }}>
                {test}
              </Link>
            )}
            of={action === "run" ? (_, made) => made : undefined}
          />
        </div>
      ) : null}
      {isAsking ? <BulkQuarantine ns={ns} names={names} onClose={() => setAsking(false)} /> : null}
    </div>
  );
}

const ACTS: Record<Action, (namespace: string, test: string, key: string) => Promise<Made>> = {
  async run(namespace, test, key) {
    const { data } = await client.POST("/api/v1/namespaces/{namespace}/tests/{test}/runs", {
      params: { path: { namespace, test }, header: { "Idempotency-Key": key } },
    });
    const made = data!;
    const [first] = made.runs;
    if (!first) return "no run";
    return made.runs.length === 1 ? (
      <Link className="link" to="/ns/$ns/runs/$run" params={{ ns: namespace, run: first.id }}>
        its run
      </Link>
    ) : (
      <Link className="link" to="/ns/$ns/runs" params={{ ns: namespace }} search={{ matrix: made.matrix_id }}>
        {plural(made.runs.length, "run")}
      </Link>
    );
  },
  async pause(namespace, test) {
    await client.POST("/api/v1/namespaces/{namespace}/tests/{test}/pause", {
      params: { path: { namespace, test } },
    });
    return null;
  },
  async resume(namespace, test) {
    await client.POST("/api/v1/namespaces/{namespace}/tests/{test}/resume", {
      params: { path: { namespace, test } },
    });
    return null;
  },
};
