import type { Schema } from "~/api/client";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** How long the ranges are that end now. */
export const RANGE_MS = { "1h": HOUR, "24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY } as const;

/** For so many days the server knows how single hours were. */
const HOURS_DAYS = 399;

/**
 * Intervals that make a readable chart of a span of time that began so long ago; the server tells a thousand of them at most.
 */
export function intervalFor(ms: number, agoMs: number): Schema["Interval"] {
  if (ms <= 8 * DAY && agoMs <= HOURS_DAYS * DAY) return "hour";
  return ms <= 400 * DAY ? "day" : "week";
}

/**
 * When a range that ends now begins. By the `step`, so that the address of the request, and with it the cached answer, stays
 * the same for a while.
 */
export function rangeStart(range: keyof typeof RANGE_MS, now: number, step: number): string {
  return new Date(Math.floor(now / step) * step - RANGE_MS[range]).toISOString();
}
