import { expect, test } from "vitest";
import { durationTicks, nearest, timeTicks, valueTicks } from "./ticks";

test("ticks are round", () => {
  expect(valueTicks(7)).toEqual([0, 2, 4, 6]);
  expect(valueTicks(0.9)).toEqual([0, 0.25, 0.5, 0.75]);
  expect(valueTicks(0)).toEqual([0]);
  expect(durationTicks(4_300)).toEqual([0, 2_000, 4_000]);
  expect(durationTicks(200_000)).toEqual([0, 60_000, 120_000, 180_000]);
  expect(durationTicks(9 * 3_600_000)).toEqual([0, 3, 6, 9].map((hours) => hours * 3_600_000));
});

test("instants are round, and not more than asked for", () => {
  const day = 86_400_000;
  expect(timeTicks(0.5 * day, 6.2 * day, 8)).toEqual([1, 2, 3, 4, 5, 6].map((n) => n * day));
  expect(timeTicks(5, 5, 8)).toEqual([5]);
  expect(timeTicks(0, 400 * day, 5).length).toBeLessThanOrEqual(6);
});

test("the nearest value is found on either side", () => {
  expect([
    nearest([0, 10, 20], 14),
    nearest([0, 10, 20], 16),
    nearest([0, 10, 20], 99),
    nearest([0, 10, 20], -5),
  ]).toEqual([1, 2, 2, 0]);
  expect(nearest([], 1)).toBe(-1);
});
