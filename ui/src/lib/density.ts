/**
 * How many tests start at each minute of the hour, by their next instants: sixty counts. Many at one minute wait for each
 * other there, and few know that theirs is the minute of all.
 */
export function density(instants: (string | undefined)[]): number[] {
  const counts = Array.from({ length: 60 }, () => 0);
  for (const instant of instants) {
    if (!instant) continue;
    const minute = new Date(instant).getUTCMinutes();
    counts[minute] = (counts[minute] ?? 0) + 1;
  }
  return counts;
}

/** The minute at which most start, if that is more than a fair share: a third of all, and at least five. */
export function herd(counts: number[]): { minute: number; tests: number } | undefined {
  const all = counts.reduce((sum, each) => sum + each, 0);
  const tests = Math.max(...counts);
  return tests >= 5 && tests > all / 3 ? { minute: counts.indexOf(tests), tests } : undefined;
}
