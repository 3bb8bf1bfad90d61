import { expect, test } from "vitest";
import { instantOf, localOf } from "./zoned";

const iso = (local: string, zone: string) => instantOf(local, zone)?.toISOString();

test("a field of date and time means the clock of its zone", () => {
  expect(iso("2026-03-01T14:02", "UTC")).toBe("2026-03-01T14:02:00.000Z");
  expect(iso("2026-03-01T14:02", "Europe/Berlin")).toBe("2026-03-01T13:02:00.000Z");
  expect(iso("2026-07-01T14:02", "America/Toronto")).toBe("2026-07-01T18:02:00.000Z");
  expect(iso("2026-07-01T14:02", "Asia/Kathmandu")).toBe("2026-07-01T08:17:00.000Z");
});

test("a time that a jump leaves out is the instant after it, and one that comes twice the first", () => {
  expect(iso("2026-03-29T02:30", "Europe/Berlin")).toBe("2026-03-29T01:30:00.000Z");
  expect(iso("2026-10-25T02:30", "Europe/Berlin")).toBe("2026-10-25T00:30:00.000Z");
});

test("what a field shows is read back as the same instant", () => {
  for (const zone of ["UTC", "Europe/Berlin", "America/Toronto", "Australia/Lord_Howe", "Pacific/Apia"]) {
    for (let hour = 0; hour < 24 * 365; hour += 7) {
      const instant = new Date(Date.UTC(2026, 0, 1, hour));
      const read = instantOf(localOf(instant, zone), zone);
      expect(localOf(read!, zone), `${zone} ${instant.toISOString()}`).toBe(localOf(instant, zone));
    }
  }
});

test("what is no date and time is nothing", () => {
  for (const text of ["", "2026-13-01T00:00", "2026-03-01", "now"])
    expect(instantOf(text, "UTC")).toBeUndefined();
});
