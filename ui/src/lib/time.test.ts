import { expect, test } from "vitest";
import { dateTime, duration, durationMs, justBefore, relative, weekday, zoneLabel, zoneName } from "./time";

const at = new Date("2026-03-29T01:30:11.042Z");

test("a time is shown in its zone, with its name", () => {
  expect(`${dateTime(at, "UTC")} ${zoneLabel(at, "UTC")}`).toBe("2026-03-29 01:30:11 UTC");
  // Half an hour after the clocks went forward in Berlin.
  expect(dateTime(at, "Europe/Berlin", true)).toBe("2026-03-29 03:30:11.042");
  expect(dateTime(new Date("2026-01-01T00:00:00Z"), "UTC")).toBe("2026-01-01 00:00:00");
  expect(weekday(at, "UTC")).toBe("Sun 29 Mar");
});

test("an hour that comes twice is told apart by the name of its zone", () => {
  const [first, second] = [new Date("2026-10-25T00:30:00Z"), new Date("2026-10-25T01:30:00Z")];
  const shown = (at: Date, zone: string) => `${dateTime(at, zone)} ${zoneLabel(at, zone)}`;
  expect([shown(first, "Europe/Berlin"), shown(second, "Europe/Berlin")]).toEqual([
    "2026-10-25 02:30:00 CEST",
    "2026-10-25 02:30:00 CET",
  ]);
  const [before, after] = [new Date("2026-11-01T05:30:00Z"), new Date("2026-11-01T06:30:00Z")];
  expect([shown(before, "America/New_York"), shown(after, "America/New_York")]).toEqual([
    "2026-11-01 01:30:00 GMT-4",
    "2026-11-01 01:30:00 GMT-5",
  ]);
});

test("a zone that nobody knows is UTC", () => {
  expect(zoneName("Mars/Olympus")).toBe("UTC");
  expect(zoneName("America/Toronto")).toBe("America/Toronto");
});

test("durations have three digits", () => {
  const texts = [0, 840, 999.6, 3_210, 9_960, 59_400, 59_600, 245_000, 7_380_000, 200_000_000, -1_500].map(
    duration,
  );
  expect(texts).toEqual([
    "0 ms",
    "840 ms",
    "1000 ms",
    "3.2 s",
    "10 s",
    "59 s",
    "1 min 00 s",
    "4 min 05 s",
    "2 h 03 min",
    "2 d 07 h",
    "−1.5 s",
  ]);
  expect([durationMs("900s"), durationMs("1.5s"), durationMs("15m"), durationMs(undefined)]).toEqual([
    900_000,
    1_500,
    undefined,
    undefined,
  ]);
});

test("relative times say which side of now they are on", () => {
  const now = new Date("2026-03-29T12:00:00Z");
  const from = (seconds: number) => relative(new Date(now.getTime() + seconds * 1_000), now);
  expect([
    from(0),
    from(-59),
    from(-61),
    from(3_700),
    from(-86_400),
    from(86_400 * 3),
    from(-86_400 * 90),
  ]).toEqual(["now", "59 s ago", "1 min ago", "in 1 h", "24 h ago", "in 3 d", "3 mo ago"]);
});

test("the bound of a list lies before the instant that is to be in it", () => {
  expect(justBefore("2026-03-29T00:00:00Z")).toBe("2026-03-28T23:59:59.999Z");
});
