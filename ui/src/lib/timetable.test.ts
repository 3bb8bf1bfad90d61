import { expect, test } from "vitest";
import { byNext, nextOf, turnsAt } from "./timetable";

const at = (hour: string) => `2026-03-01T${hour}:00Z`;
const now = Date.parse(at("10:02"));
const often = { name: "often", paused: false, instants: [at("10:00"), at("10:05")] };
const seldom = { name: "seldom", paused: false, instants: [at("10:04")] };
const stopped = { name: "stopped", paused: true, instants: [at("10:03")] };
const over = { name: "over", paused: false, instants: [at("10:01")] };

test("an instant that has passed within the hour is not the next one", () => {
  expect(nextOf(often, now)).toBe(at("10:05"));
  expect(nextOf(over, now)).toBeUndefined();
});

test("tests are ordered by what comes next, those that are paused last", () => {
  const order = [stopped, over, often, seldom].sort(byNext(now)).map((each) => each.name);
  expect(order).toEqual(["seldom", "often", "over", "stopped"]);
});

test("the table turns with the next instant of a test that runs", () => {
  expect(turnsAt([stopped, over, often, seldom], now)).toBe(Date.parse(at("10:04")));
  expect(turnsAt([stopped, over], now)).toBeUndefined();
});
