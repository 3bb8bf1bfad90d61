import { expect, test } from "vitest";
import { against, figure, numberOf, ratioTo, spark } from "./against";
import { ExactNumber } from "./exact-json";

test("numbers are found in numbers, in their text and in digits that JavaScript cannot hold", () => {
  expect(numberOf(3.5)).toBe(3.5);
  expect(numberOf(" 1e3 ")).toBe(1000);
  expect(numberOf(new ExactNumber("9007199254740993"))).toBe(9007199254740992);
  for (const other of ["", "0x10", "12ms", "inf", true, null, undefined, [1]])
    expect(numberOf(other)).toBeUndefined();
});

test("the median is that of the other runs, and only of enough of them", () => {
  const runs = ["a", "b", "c", "d", "e", "f"];
  const found = against(runs, [1, 2, 3, 4, 5, 90], "f", 90);
  expect(found).toEqual({ values: [1, 2, 3, 4, 5, 90], at: 5, others: 5, median: 3 });
  expect(against(runs, [1, 2, 3, 4, null, 90], "f", 90).median).toBeUndefined();
});

test("a run that is not among the latest stands before them, and one that goes on behind them", () => {
  expect(against(["b"], [2], "a", 1)).toMatchObject({ values: [1, 2], at: 0, others: 1 });
  expect(against(["b"], [2], "c", 3, true)).toMatchObject({ values: [2, 3], at: 1, others: 1 });
});

test("runs from before there was such a number are left out", () => {
  expect(against(["a", "b", "c", "d"], [null, null, 3, 4], "d", 4)).toMatchObject({ values: [3, 4], at: 1 });
});

test("the attempt that is shown counts, not the latest one of its run", () => {
  expect(against(["a", "b"], [1, 7], "b", 5)).toMatchObject({ values: [1, 5], at: 1, others: 1 });
});

test("a share is one of the size of the median, also below zero", () => {
  expect(ratioTo(10, 11)).toBeCloseTo(1.1);
  expect(ratioTo(-10, -11)).toBeCloseTo(0.9);
  expect(ratioTo(0, 3)).toBeUndefined();
  expect(ratioTo(0, 0)).toBe(1);
});

test("a figure has no more digits than floating point gives it", () => {
  expect(figure(1234.5)).toBe("1,234.5");
  expect(figure(9007199254740992000)).toBe("9.007199e+18");
  expect(figure(0.00001)).toBe("0.00001");
  expect(figure(1e300)).toBe("1e+300");
});

test("a line spans its box, its level is on the same scale, and equal numbers lie in the middle", () => {
  const box = { width: 100, height: 20, inset: 0 };
  expect(spark([0, 10, null], box, 5)).toEqual({
    points: [{ x: 0, y: 20 }, { x: 50, y: 0 }, null],
    level: 10,
  });
  expect(spark([4, 4], box).points.map((point) => point?.y)).toEqual([10, 10]);
  expect(spark([4], box).points[0]?.x).toBe(50);
});
