import { expect, test } from "vitest";
import { isAdrift, lastTop, MAX_PX, makeScale, placeAt, scrolled, shiftOf } from "./scroll";

const VIEW = 600;

test("what fits is scrolled as it is", () => {
  const scale = makeScale(1_000, 20, VIEW);
  expect(scale.box).toBe(20_000);
  expect(scrolled(scale, { top: 0, scrollTop: 0 }, 777)).toEqual({ top: 777, scrollTop: 777 });
  expect(shiftOf(placeAt(scale, 777))).toBe(0);
});

test("a million rows and more stay below what browsers clamp, and the last row can be reached", () => {
  for (const rows of [1_000_000, 5_000_000]) {
    const scale = makeScale(rows, 20, VIEW);
    expect(scale.box).toBe(MAX_PX);
    const last = placeAt(scale, Number.POSITIVE_INFINITY);
    expect(last.top).toBe(rows * 20 - VIEW);
    expect(last.scrollTop).toBeCloseTo(MAX_PX - VIEW, 3);
    expect(scrolled(scale, { top: 0, scrollTop: 0 }, MAX_PX - VIEW).top).toBe(lastTop(scale));
    expect(scrolled(scale, last, 0).top).toBe(0);
  }
});

test("a small step moves one for one, a jump by its share", () => {
  const scale = makeScale(1_000_000, 20, VIEW);
  const middle = placeAt(scale, 10_000_000);
  const step = scrolled(scale, middle, middle.scrollTop + 100);
  expect(step.top).toBe(10_000_100);
  // Rows stay where they were drawn.
  expect(shiftOf(step)).toBe(shiftOf(middle));
  expect(isAdrift(scale, step)).toBe(true);
  expect(isAdrift(scale, placeAt(scale, step.top))).toBe(false);
  expect(scrolled(scale, middle, middle.scrollTop + 100_000).top).toBeCloseTo(10_250_000, -5);
});

test("every row can be brought to the top", () => {
  const scale = makeScale(1_234_567, 20, VIEW);
  for (const row of [0, 1, 899_999, 1_234_000]) expect(placeAt(scale, row * 20).top).toBe(row * 20);
});
