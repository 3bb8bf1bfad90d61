import type { Schema } from "~/api/client";

/** A day of the calendar: how many runs were scheduled for it, and how many of them did not pass. */
export interface Day {
  date: string;
  runs: number;
  bad: number;
  flaky: number;
}

/** The weeks of a calendar, the earliest first; each has seven days from Monday, and `undefined` where it is not told. */
export function weeks(intervals: Schema["SummaryInterval"][]): (Day | undefined)[][] {
  const list: (Day | undefined)[][] = [];
  for (const { start, figures } of intervals) {
    const weekday = (new Date(start).getUTCDay() + 6) % 7;
    let week = list.at(-1);
    if (!week || weekday === 0) {
      week = Array.from({ length: 7 }, () => undefined);
      list.push(week);
    }
    const { runs, fail, error, timed_out, flaky } = figures.counts;
    week[weekday] = { date: start.slice(0, 10), runs, bad: fail + error + timed_out, flaky };
  }
  return list;
}

/** How bad a day was, from 0 (all passed) to 4 (nothing did); -1 without runs. */
export function badness(day: Day | undefined): -1 | 0 | 1 | 2 | 3 | 4 {
  if (!day || day.runs === 0) return -1;
  if (day.bad === 0) return 0;
  const share = day.bad / day.runs;
  return share < 0.1 ? 1 : share < 0.34 ? 2 : share < 1 ? 3 : 4;
}
