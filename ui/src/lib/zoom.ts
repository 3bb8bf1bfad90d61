/** What of a chart is drawn upon: how wide it is, and how much at its sides is none of it. */
export interface Plot {
  width: number;
  left: number;
  right: number;
}

/** Less than this many pixels is a click with an unsteady hand. */
const LEAST_PX = 6;

/** Keeps an x within what is drawn upon. */
export function within(x: number, plot: Plot): number {
  return Math.min(Math.max(x, plot.left), Math.max(plot.left, plot.width - plot.right));
}

/** The time between two places of a chart that shows a time from its left to its right, or nothing where they are too near. */
export function spanBetween(
  a: number,
  b: number,
  plot: Plot,
  from: number,
  to: number,
): { from: number; to: number } | undefined {
  const [start, end] = [within(Math.min(a, b), plot), within(Math.max(a, b), plot)];
  const wide = plot.width - plot.left - plot.right;
  if (end - start < LEAST_PX || wide <= 0 || to <= from) return undefined;
  const at = (x: number) => from + ((x - plot.left) / wide) * (to - from);
  return { from: Math.floor(at(start)), to: Math.ceil(at(end)) };
}
