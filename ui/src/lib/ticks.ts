/** Round values from 0 up to a maximum, at most `most` of them: 0, 2, 4, 6. */
export function valueTicks(max: number, most = 4): number[] {
  if (!(max > 0)) return [0];
  const rough = max / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((each) => each * power).find((each) => each >= rough) ?? rough;
  return Array.from({ length: Math.floor(max / step) + 1 }, (_, index) => index * step);
}

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** The same for milliseconds: beyond ten seconds they are read in minutes and hours, which have steps of their own. */
export function durationTicks(max: number, most = 4): number[] {
  if (max < 20 * SECOND) return valueTicks(max, most);
  const steps = [5, 10, 15, 30].map((each) => each * SECOND);
  steps.push(
    ...[1, 2, 5, 10, 15, 30].map((each) => each * MINUTE),
    ...[1, 2, 3, 6, 12].map((each) => each * HOUR),
  );
  const step = steps.find((each) => each >= max / most) ?? Math.ceil(max / most / DAY) * DAY;
  return Array.from({ length: Math.floor(max / step) + 1 }, (_, index) => index * step);
}

const TIME_STEPS = [1, 5, 15, 30, 60, 180, 360, 720]
  .map((minutes) => minutes * MINUTE)
  .concat([1, 2, 4, 7, 14, 28].map((days) => days * DAY));

/** Round instants between two, in milliseconds since 1970. They are round in UTC. */
export function timeTicks(from: number, to: number, most: number): number[] {
  if (to <= from) return [from];
  const step = TIME_STEPS.find((each) => (to - from) / each <= most) ?? (to - from) / most;
  const first = Math.ceil(from / step) * step;
  return Array.from({ length: Math.floor((to - first) / step) + 1 }, (_, index) => first + index * step);
}

/** The index of the value nearest to `to` in an ordered list; -1 in an empty one. */
export function nearest(ordered: number[], to: number): number {
  let low = 0;
  let high = ordered.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ordered[middle] ?? 0) < to) low = middle + 1;
    else high = middle;
  }
  if (low > 0 && to - (ordered[low - 1] ?? 0) < (ordered[low] ?? 0) - to) return low - 1;
  return high < 0 ? -1 : low;
}
