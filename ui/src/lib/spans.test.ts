import { expect, test } from "vitest";
import { intervalFor, rangeStart } from "./spans";

test("a span is told in intervals that can be read, and never in too many", () => {
  const day = 86_400_000;
  expect([1, 8, 9, 400, 401].map((days) => intervalFor(days * day, days * day))).toEqual([
    "hour",
    "hour",
    "day",
    "day",
    "week",
  ]);
  expect(intervalFor(2 * day, 500 * day)).toBe("day");
});

test("a range begins at the same instant for as long as its step", () => {
  const now = Date.parse("2026-03-01T10:34:56Z");
  expect(rangeStart("1h", now, 60_000)).toBe("2026-03-01T09:34:00.000Z");
  expect(rangeStart("24h", now, 3_600_000)).toBe(rangeStart("24h", now + 1_500_000, 3_600_000));
});
