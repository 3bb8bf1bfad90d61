/** The minute at which most start, if that is more than a fair share: a third of all, and at least five in a week. */
export function herd(byMinute: number[]): { minute: number; starts: number } | undefined {
  const all = byMinute.reduce((sum, each) => sum + each, 0);
  const starts = Math.max(0, ...byMinute);
  return starts >= 5 && starts > all / 3 ? { minute: byMinute.indexOf(starts), starts } : undefined;
}

/** Adds up counts of pages, place by place. */
export function addUp(lists: number[][]): number[] {
  const sums: number[] = [];
  for (const list of lists)
    list.forEach((each, index) => {
      sums[index] = (sums[index] ?? 0) + each;
    });
  return sums;
}
