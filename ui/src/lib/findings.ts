import type { Schema } from "~/api/client";
import { percent, plural } from "./numbers";

type Finding = Schema["MonitorFinding"];

/** What an active monitor saw, in words: `passed on retry 3 times in the last 14 trials`. */
export function findingText({ monitor, figures }: Finding): string {
  switch (monitor) {
    case "retry":
      return `passed on retry ${times(figures.signals)} in ${plural(figures.trials, "run")}`;
    case "same_subject":
      return `passed and failed on the same version ${times(figures.signals)}`;
    case "transitions":
      return `began to fail ${times(figures.transitions)} in ${plural(figures.trials, "run")}`;
    case "failure_rate":
      return `failed in ${percent(figures.failures, figures.trials)} of ${plural(figures.trials, "run")}`;
    case "failures_in_row":
      return `failed ${figures.value} times in a row`;
    default:
      return `${monitor}: ${figures.value}`;
  }
}

function times(n: number): string {
  return n === 1 ? "once" : n === 2 ? "twice" : `${n} times`;
}

/** The monitors that are active, the most severe first. */
export function activeFindings(findings: Finding[] | undefined): Finding[] {
  const active = findings?.filter((finding) => finding.state.active) ?? [];
  return active.sort((a, b) => Number(b.marks === "broken") - Number(a.marks === "broken"));
}
