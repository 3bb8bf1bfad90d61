import type { Schema } from "~/api/client";

/** How a run ended, as a letter of a strip: pass, pass after a failed attempt, fail, error, timed out, cancelled. */
export type End = "p" | "r" | "f" | "e" | "t" | "c";

/** How many runs a strip has at most. */
export const STRIP_RUNS = 60;

/** What a bar looks like: failures are taller, so that they stand out without their colour. */
const HEIGHTS: Record<End, number> = { p: 0.55, r: 0.78, f: 1, e: 1, t: 1, c: 0.28 };

const WORDS: Record<End, string> = {
  p: "pass",
  r: "pass after a failed attempt",
  f: "fail",
  e: "error",
  t: "timed out",
  c: "cancelled",
};

/** The ends of a strip; letters of a later server that this build does not know are left out. */
export function ends(strip: string): End[] {
  return [...strip].filter((letter): letter is End => letter in WORDS).slice(-STRIP_RUNS);
}

/** The word for an end. */
export function endWord(end: End): string {
  return WORDS[end];
}

/** The letter for a run that has ended. */
export function endOf(run: Pick<Schema["Run"], "result" | "flaky">): End | undefined {
  switch (run.result) {
    case "pass":
      return run.flaky ? "r" : "p";
    case "fail":
      return "f";
    case "error":
      return "e";
    case "timed_out":
      return "t";
    case "cancelled":
      return "c";
    default:
      return undefined;
  }
}

/** Whether an end is one that somebody has to look at. */
export function isBad(end: End | undefined): boolean {
  return end === "f" || end === "e" || end === "t";
}

/** How a strip is laid out: every bar gets `step` pixels, of which `gap` stay empty. */
export interface Layout {
  step: number;
  gap: number;
  height: number;
}

/**
 * One SVG path for all bars of a kind, right-aligned in a strip of 60: six paths a row instead of sixty rectangles keep a
 * list of tests cheap.
 */
export function stripPaths(list: End[], { step, gap, height }: Layout): { end: End; d: string }[] {
  const first = STRIP_RUNS - list.length;
  const paths = new Map<End, string>();
  list.forEach((end, index) => {
    const tall = Math.round(HEIGHTS[end] * height);
    const x = (first + index) * step;
    paths.set(end, `${paths.get(end) ?? ""}M${x} ${height - tall}h${step - gap}v${tall}h${gap - step}z`);
  });
  return [...paths].map(([end, d]) => ({ end, d }));
}

/** Which bar is at an x, or nothing where there is none. */
export function barAt(x: number, bars: number, step: number): number | undefined {
  const index = Math.floor(x / step) - (STRIP_RUNS - bars);
  return index >= 0 && index < bars ? index : undefined;
}

/** How many of the runs passed, of those that ended by themselves. */
export function passes(list: End[]): { passed: number; of: number } {
  const counted = list.filter((end) => end !== "c");
  return { passed: counted.filter((end) => end === "p" || end === "r").length, of: counted.length };
}

/** What the chosen bar is, in words: `run 57 of 60: fail`. */
export function barText(list: End[], index: number): string {
  const end = list[index];
  return end ? `run ${index + 1} of ${list.length}: ${WORDS[end]}` : "no runs";
}

/**
 * Finds the run behind a bar. The strip is in the order of ends and has no ids; runs are matched from the newest back, and
 * a match that ended otherwise is none.
 */
export function runBehind<R extends Pick<Schema["Run"], "result" | "flaky" | "finished_at">>(
  list: End[],
  index: number,
  runs: R[],
): R | undefined {
  const ended = runs
    .filter((run) => run.finished_at && endOf(run))
    .sort((a, b) => (b.finished_at ?? "").localeCompare(a.finished_at ?? ""));
  const run = ended[list.length - 1 - index];
  return run && endOf(run) === list[index] ? run : undefined;
}
