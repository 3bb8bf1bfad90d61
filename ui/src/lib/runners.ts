import type { Schema } from "~/api/client";

type Runner = Pick<Schema["Runner"], "accept" | "reject" | "namespaces">;

/** Something that a runner never takes: what is said of it, and the expression that decides, where there is one. */
export interface Never {
  text: string;
  pattern?: string;
}

/** The key of an accept selector that stands for every key which is not named. */
const OTHERS = "*";

/** What a runner never takes, by its selectors alone: whatever is free, and however long a run waits. */
export function neverTakes({ accept, reject, namespaces }: Runner): Never[] {
  const never: Never[] = [];
  if (!namespaces.some(isAny)) {
    never.push({ text: "runs of other namespaces than", pattern: namespaces.join(", ") });
  }
  for (const [key, pattern] of Object.entries(reject)) {
    never.push(
      isAny(pattern)
        ? { text: `runs with a label ${key}, whatever its value` }
        : { text: `runs whose label ${key} is`, pattern },
    );
  }
  const accepted = Object.entries(accept);
  // Without accept selectors it takes every label.
  if (accepted.length === 0) return never;
  for (const [key, pattern] of accepted) {
    if (key !== OTHERS && !isAny(pattern)) never.push({ text: `runs whose label ${key} is not`, pattern });
  }
  const named = accepted.map(([key]) => key).filter((key) => key !== OTHERS);
  const others = accept[OTHERS];
  if (others === undefined) never.push({ text: `runs with any label but ${listed(named)}` });
  else if (!isAny(others)) {
    never.push({
      text:
        named.length > 0
          ? `runs of which a label other than ${listed(named)} is not`
          : "runs of which a label is not",
      pattern: others,
    });
  }
  return never;
}

function isAny(pattern: string): boolean {
  return pattern === ".*";
}

function listed(names: string[]): string {
  const last = names.at(-1) ?? "";
  return names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${last}` : last;
}

/** How often runs failed on a runner, beside all runners. */
export interface AgainstFleet {
  bad: number;
  ended: number;
  /** The share of all other runners together; absent where no other runner ended a run. */
  fleet: number | undefined;
  /** It fails notably more often, of enough runs for that to say something of the machine. */
  isWorse: boolean;
}

/** With fewer runs a share of failures says nothing about a machine. */
const MIN_RUNS = 10;

/**
 * Compares the failures of a runner with those of all others together: with its own among them one on which most runs end
 * would hide behind itself. Runs that ended on no runner, such as uploaded ones, say nothing of machines.
 */
export function againstFleet(
  id: string,
  runners: readonly Schema["SummaryRunner"][],
): AgainstFleet | undefined {
  const own = runners.find((runner) => runner.runner_id === id);
  if (!own) return undefined;
  const others = runners.filter((runner) => runner !== own);
  const sum = (of: (counts: Schema["RunCounts"]) => number) =>
    others.reduce((all, runner) => all + of(runner.counts), 0);
  const bad = badOf(own.counts);
  const ended = endedOf(own.counts);
  const othersEnded = sum(endedOf);
  const fleet = othersEnded > 0 ? sum(badOf) / othersEnded : undefined;
  return {
    bad,
    ended,
    fleet,
    isWorse: fleet !== undefined && ended >= MIN_RUNS && bad / ended > Math.max(0.05, fleet * 2),
  };
}

function endedOf(counts: Schema["RunCounts"]): number {
  return counts.runs - counts.cancelled;
}

function badOf(counts: Schema["RunCounts"]): number {
  return counts.fail + counts.error + counts.timed_out;
}
