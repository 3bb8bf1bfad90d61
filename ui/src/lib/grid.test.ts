import { expect, test } from "vitest";
import { columnAt, gridPaths, MARKS, marksOf, moved, placeText, ROW, rowText, STEP } from "./grid";

test("each run has a mark, and letters of a later server are none", () => {
  expect(marksOf("pf.x", 5)).toEqual(["p", "f", undefined, undefined, undefined]);
});

test("no two marks look alike, and each stays within its place", () => {
  const shapes = MARKS.map((mark) => gridPaths([mark])[0]?.d ?? "");
  expect(new Set(shapes).size).toBe(MARKS.length);
  for (const shape of shapes) {
    let [x, y] = [0, 0];
    for (const [, command, numbers] of shape.matchAll(/([MhvLlz])([^MhvLlz]*)/g)) {
      const [a = 0, b = 0] = (numbers ?? "")
        .split(/[ ,]|(?=-)/)
        .filter(Boolean)
        .map(Number);
      if (command === "M") [x, y] = [a, b];
      else if (command === "h") x += a;
      else if (command === "v") y += a;
      else if (command === "l") [x, y] = [x + a, y + b];
      expect(x).toBeGreaterThanOrEqual(0);
      expect(x).toBeLessThanOrEqual(STEP);
      expect(y).toBeGreaterThanOrEqual(0);
      expect(y).toBeLessThanOrEqual(ROW);
    }
  }
});

test("marks of a kind are one path, each at its column", () => {
  expect(gridPaths(["s", undefined, "s"])).toEqual([{ mark: "s", d: "M1 11h6v2h-6zM17 11h6v2h-6z" }]);
  expect(columnAt(17, 60)).toBe(2);
  expect(columnAt(-3, 60)).toBe(0);
  expect(columnAt(999, 60)).toBe(59);
});

test("keys move over rows and columns, and not out of them", () => {
  const at = { row: 0, column: 58 };
  expect(moved("ArrowDown", at, 3, 60)).toEqual({ row: 1, column: 58 });
  expect(moved("ArrowUp", at, 3, 60)).toEqual(at);
  expect(moved("PageDown", at, 3, 60)).toEqual({ row: 2, column: 58 });
  expect(moved("End", at, 3, 60)).toEqual({ row: 0, column: 59 });
  expect(moved("ArrowRight", { row: 0, column: 59 }, 3, 60)).toEqual({ row: 0, column: 59 });
  expect(moved("a", at, 3, 60)).toBeUndefined();
});

test("a place and a row are said in words", () => {
  expect(placeText("m", 56, 60)).toBe("run 57 of 60: a failure that was muted");
  expect(placeText(undefined, 0, 60)).toBe("run 1 of 60: not in this run");
  expect(rowText(["p", "f", "p", undefined])).toBe("4 runs: 2 pass, 1 fail");
  expect(rowText([undefined])).toBe("1 run: in none of them");
});
