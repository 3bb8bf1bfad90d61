import { useQuery } from "@tanstack/react-query";
import { client, type Schema } from "~/api/client";
import { identityQuery, mayControl } from "~/api/session";
import { useAction } from "~/app/action";
import { percent } from "~/lib/numbers";
import { neverTakes } from "~/lib/runners";
import { Button } from "~/parts/basics";
import { Badge, type Tone } from "~/parts/state";

type Runner = Schema["Runner"];

const UNFIT: Record<Schema["Unfit"], string> = {
  disk_low: "short of disk: it takes nothing new",
  breaker: "broke several runs in a row: one is tried now and then",
};

/** Where a runner stands, in a word. */
export function runnerWord(runner: Runner): { word: string; tone: Tone; why?: string } {
  if (runner.state === "offline") return { word: "offline", tone: "fail", why: "It was not heard of lately" };
  if (runner.state === "draining" || runner.draining) return { word: "draining", tone: "warn" };
  if (runner.unfit) return { word: "unfit", tone: "warn", why: UNFIT[runner.unfit] };
  return runner.slots_used > 0 ? { word: "busy", tone: "accent" } : { word: "idle", tone: "pass" };
}

/** Where a runner stands: a shape, a word and a colour. */
export function RunnerState({ runner }: { runner: Runner }) {
  const { word, tone, why } = runnerWord(runner);
  const full = runner.slots > 0 ? Math.min(1, runner.slots_used / runner.slots) : 0;
  return (
    <Badge tone={tone} title={why}>
      <svg viewBox="0 0 10 10" width="9" height="9" aria-hidden="true">
        {word === "offline" ? (
          <path d="M1 1l8 8M9 1l-8 8" stroke="currentColor" strokeWidth="1.8" />
        ) : (
          <>
            <rect
              x="0.8"
              y="0.8"
              width="8.4"
              height="8.4"
              rx="1.5"
              fill="none"
              stroke="currentColor"
              strokeWidth="1.4"
            />
            <rect x="2.4" y={7.6 - 5.2 * full} width="5.2" height={5.2 * full} fill="currentColor" />
          </>
        )}
      </svg>
      {word}
    </Badge>
  );
}

/** Selectors in words: `accepts region=nyc|sfo`. */
export function Selectors({ accept, reject }: Pick<Runner, "accept" | "reject">) {
  const accepts = Object.entries(accept);
  const rejects = Object.entries(reject);
  if (accepts.length + rejects.length === 0) return <span className="text-muted">takes every label</span>;
  return (
    <span className="flex flex-wrap gap-1">
      {accepts.map(([key, pattern]) => (
        <span key={`a${key}`} className="chip">
          <span className="text-muted">accepts</span>
          <code className="code">
            {key}={pattern}
          </code>
        </span>
      ))}
      {rejects.map(([key, pattern]) => (
        <span key={`r${key}`} className="chip">
          <span className="text-fail">rejects</span>
          <code className="code">
            {key}={pattern}
          </code>
        </span>
      ))}
    </span>
  );
}

/** Lets a runner finish what it has and gives it nothing new, or gives it runs again. */
export function DrainButton({ runner }: { runner: Runner }) {
  const { data: identity } = useQuery(identityQuery);
  const drained = runner.draining || runner.state === "draining";
  const act = useAction({
    act: async () => {
      const params = { path: { runner: runner.id } };
      if (drained) await client.POST("/api/v1/runners/{runner}/resume", { params });
      else await client.POST("/api/v1/runners/{runner}/drain", { params });
    },
    says: drained
      ? `${runner.name} takes runs again`
      : `${runner.name} finishes what it has and takes nothing new`,
    fails: drained ? "Still draining" : "Not drained",
  });
  return (
    <Button
      icon={drained ? "play" : "pause"}
      busy={act.isPending}
      why={mayControl(identity) ? undefined : "This needs a token with the scope control"}
      onClick={() => act.mutate()}
    >
      {drained ? "Resume" : "Drain"}
    </Button>
  );
}

/** What a runner never takes, so that nobody waits for it. */
export function NeverTakes({ runner }: { runner: Runner }) {
  const never = neverTakes(runner);
  if (never.length === 0)
    return <p className="text-sm text-muted">There is nothing that it never takes: it has no selectors.</p>;
  return (
    <ul className="flex list-disc flex-col gap-1 pl-5 text-sm">
      {never.map((each) => (
        <li key={each.text + (each.pattern ?? "")} className="wrap-anywhere">
          {each.text}
          {each.pattern === undefined ? null : <code className="code ml-1.5">{each.pattern}</code>}
        </li>
      ))}
    </ul>
  );
}

/** A share of failures that is only compared with. */
export function share(of: number | undefined): string {
  return of === undefined ? "–" : percent(Math.round(of * 1_000), 1_000);
}
