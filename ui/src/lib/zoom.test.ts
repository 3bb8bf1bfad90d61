import { expect, test } from "vitest";
import { spanBetween, within } from "./zoom";

const plot = { width: 270, left: 60, right: 10 };

test("two places of a chart are a span of its time, in either direction", () => {
  expect(spanBetween(110, 160, plot, 0, 2_000)).toEqual({ from: 500, to: 1_000 });
  expect(spanBetween(160, 110, plot, 0, 2_000)).toEqual({ from: 500, to: 1_000 });
});

test("what lies beside the chart is its edge", () => {
  expect(spanBetween(0, 900, plot, 0, 2_000)).toEqual({ from: 0, to: 2_000 });
  expect(within(900, plot)).toBe(260);
});

test("an unsteady click, and a chart of one instant, are no span", () => {
  expect(spanBetween(100, 104, plot, 0, 2_000)).toBeUndefined();
  expect(spanBetween(100, 200, plot, 5, 5)).toBeUndefined();
});
