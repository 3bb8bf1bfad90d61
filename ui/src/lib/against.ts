import { ExactNumber } from "./exact-json";
import { count } from "./numbers";

/** With fewer numbers than this a median says nothing. */
export const MIN_NUMBERS = 5;

/** The number of a run beside those of the other runs. */
export interface Against {
  /** The numbers in the order of their runs from the first that has one, with that of this run in its place; null for none. */
  values: (number | null)[];
  /** Which of them is that of this run. */
  at: number;
  /** How many other runs have one. */
  others: number;
  /** Half of the others do not exceed it; absent with too few of them. */
  median: number | undefined;
}

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** The number that a value is, for drawing and comparing; text that is one counts as well, as it does in the series. */
export function numberOf(value: unknown): number | undefined {
  if (typeof value === "number") return value;
  const text = value instanceof ExactNumber ? value.digits : typeof value === "string" ? value.trim() : "";
  const number = NUMBER.test(text) ? Number(text) : Number.NaN;
  return Number.isFinite(number) ? number : undefined;
}

/**
 * Puts the number of a run among those of the latest runs of its cell. A run that is not one of these stands before them,
 * since it is older; with `isNewest` it stands after them, since it has not ended yet.
 */
export function against(
  runs: string[],
  values: (number | null)[],
  run: string,
  value: number,
  isNewest = false,
): Against {
  const place = runs.indexOf(run);
  const others = values.filter((each, index): each is number => each !== null && index !== place);
  const told =
    place >= 0
      ? values.map((each, index) => (index === place ? value : each))
      : isNewest
        ? [...values, value]
        : [value, ...values];
  const at = place >= 0 ? place : isNewest ? told.length - 1 : 0;
  // Runs from before there was such a number would only make the line narrow.
  const first = told.findIndex((each) => each !== null);
  const sorted = [...others].sort((a, b) => a - b);
  return {
    values: told.slice(first),
    at: at - first,
    others: others.length,
    median: others.length < MIN_NUMBERS ? undefined : sorted[Math.floor((sorted.length - 1) / 2)],
  };
}

/**
 * How far a number is from the median, as a ratio of the median: 1.14 is 14 % more. Absent where the median is 0, of which
 * nothing is a share.
 */
export function ratioTo(median: number, value: number): number | undefined {
  return median === 0 ? (value === 0 ? 1 : undefined) : 1 + (value - median) / Math.abs(median);
}

/** A number of a history, which was counted in floating point: digits past its precision are not made up. */
export function figure(n: number): string {
  return Math.abs(n) > Number.MAX_SAFE_INTEGER ? n.toPrecision(7).replace(/\.?0+(e|$)/, "$1") : count(n);
}

/** A small line: its points, or gaps where there is no number, and how high a level lies. */
export interface Spark {
  points: ({ x: number; y: number } | null)[];
  level: number | undefined;
}

/** Lays a small line out in a box, together with a level that is on the same scale. Equal numbers lie in the middle. */
export function spark(
  values: (number | null)[],
  box: { width: number; height: number; inset: number },
  level?: number,
): Spark {
  const known = [...values, level ?? null].filter((each): each is number => each !== null);
  const low = Math.min(...known);
  const high = Math.max(...known);
  const wide = box.width - 2 * box.inset;
  const tall = box.height - 2 * box.inset;
  const x = (index: number) =>
    box.inset + (values.length > 1 ? (index / (values.length - 1)) * wide : wide / 2);
  const y = (value: number) =>
    box.inset + (high === low ? tall / 2 : (1 - (value - low) / (high - low)) * tall);
  return {
    points: values.map((value, index) => (value === null ? null : { x: x(index), y: y(value) })),
    level: level === undefined ? undefined : y(level),
  };
}
