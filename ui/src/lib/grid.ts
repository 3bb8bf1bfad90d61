import type { Schema } from "~/api/client";
import { plural } from "./numbers";
import { type End, endOf, endWord } from "./strip";

/** How a case ended in a run, as a letter: those of the API, and `t` and `c` of the runs themselves. */
export type Mark = "p" | "r" | "f" | "e" | "m" | "s" | "t" | "c";

/** The marks of cases, in the order in which a legend has them. */
export const MARKS = ["p", "r", "f", "e", "m", "s"] as const satisfies readonly Mark[];

const WORDS: Record<Mark, string> = {
  p: "pass",
  r: "pass after a failed attempt",
  f: "fail",
  e: "error",
  m: "a failure that was muted",
  s: "skipped",
  t: "timed out",
  c: "cancelled",
};

/** The word for a mark; nothing for a case that is not in a run. */
export function markWord(mark: Mark | undefined): string {
  return mark ? WORDS[mark] : "not in this run";
}

/** The marks of a case, one for each run. Letters of a later server that this build does not know are taken as absent. */
export function marksOf(strip: string, runs: number): (Mark | undefined)[] {
  return Array.from({ length: runs }, (_, index) => {
    const letter = strip[index] as Mark | undefined;
    return letter && letter in WORDS ? letter : undefined;
  });
}

/** The marks of the runs themselves. */
export function runMarks(runs: readonly Schema["GridRun"][]): (Mark | undefined)[] {
  return runs.map((run) => endOf(run));
}

/** How wide and high the place of a mark is; rows are as high as a target must be. */
export const STEP = 8;
export const ROW = 24;
const WIDE = 6;

/** What each mark looks like, as a path from the left of its place: failures are tall, and no two shapes are alike. */
const SHAPES: Record<Mark, (x: number) => string> = {
  p: (x) => `M${x} 9h${WIDE}v6h-${WIDE}z`,
  r: (x) => `M${x + WIDE / 2} 6l${WIDE / 2} 11h-${WIDE}z`,
  f: (x) => `M${x} 3h${WIDE}v18h-${WIDE}z`,
  // Hollow: the inner edge runs the other way round.
  e: (x) => `M${x} 3h${WIDE}v18h-${WIDE}zM${x + 2} 5v14h2v-14z`,
  m: (x) => `M${x} 3h${WIDE}v2h-${WIDE}zM${x} 19h${WIDE}v2h-${WIDE}zM${x + 2} 5h2v14h-2z`,
  s: (x) => `M${x} 11h${WIDE}v2h-${WIDE}z`,
  t: (x) => `M${x} 3h${WIDE}v8h-${WIDE}zM${x} 13h${WIDE}v8h-${WIDE}z`,
  c: (x) => `M${x} 13h${WIDE}v4h-${WIDE}z`,
};

/** One SVG path for all marks of a kind: a grid of twelve thousand marks is some hundred elements. */
export function gridPaths(marks: readonly (Mark | undefined)[]): { mark: Mark; d: string }[] {
  const paths = new Map<Mark, string>();
  marks.forEach((mark, index) => {
    if (mark) paths.set(mark, (paths.get(mark) ?? "") + SHAPES[mark](index * STEP + 1));
  });
  return [...paths].map(([mark, d]) => ({ mark, d }));
}

/** Which column is at an x of a row. */
export function columnAt(x: number, columns: number): number {
  return Math.max(0, Math.min(columns - 1, Math.floor(x / STEP)));
}

/** The place that a key leads to from another one; nothing for a key that leads nowhere. */
export function moved(
  key: string,
  at: { row: number; column: number },
  rows: number,
  columns: number,
): { row: number; column: number } | undefined {
  const to = {
    ArrowLeft: { ...at, column: at.column - 1 },
    ArrowRight: { ...at, column: at.column + 1 },
    ArrowUp: { ...at, row: at.row - 1 },
    ArrowDown: { ...at, row: at.row + 1 },
    PageUp: { ...at, row: at.row - 10 },
    PageDown: { ...at, row: at.row + 10 },
    Home: { ...at, column: 0 },
    End: { ...at, column: columns - 1 },
  }[key];
  if (!to) return undefined;
  return {
    row: Math.max(0, Math.min(rows - 1, to.row)),
    column: Math.max(0, Math.min(columns - 1, to.column)),
  };
}

/** What stands at a place, in words: `run 57 of 60: fail`. */
export function placeText(mark: Mark | undefined, column: number, columns: number): string {
  return `run ${column + 1} of ${columns}: ${markWord(mark)}`;
}

/** What a row is as a whole, for whoever does not see it: `60 runs: 2 fail, 58 pass`. */
export function rowText(marks: readonly (Mark | undefined)[]): string {
  const counts = new Map<string, number>();
  for (const mark of marks) if (mark) counts.set(markWord(mark), (counts.get(markWord(mark)) ?? 0) + 1);
  const parts = [...counts].map(([word, n]) => `${n} ${word}`);
  return `${plural(marks.length, "run")}: ${parts.join(", ") || "in none of them"}`;
}

/** The word for the end of a run in a grid. */
export function runEndWord(run: Schema["GridRun"]): string {
  const end: End | undefined = endOf(run);
  return end ? endWord(end) : run.result;
}
