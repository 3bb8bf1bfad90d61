import { expect, test } from "vitest";
import { endingSoon, lifeOf } from "./tokens";

const now = Date.parse("2026-03-01T00:00:00Z");
const token = (expires_at: string, revoked_at?: string) => ({ expires_at, revoked_at });

test("a token ends soon from fourteen days before its end", () => {
  expect(lifeOf(token("2026-03-15T00:00:01Z"), now)).toBe("long");
  expect(lifeOf(token("2026-03-14T23:59:59Z"), now)).toBe("soon");
  expect(lifeOf(token("2026-03-01T00:00:00Z"), now)).toBe("expired");
  expect(lifeOf(token("2026-03-02T00:00:00Z", "2026-02-01T00:00:00Z"), now)).toBe("revoked");
});

test("those that end soon are told in the order of their ends", () => {
  const tokens = [
    token("2026-03-10T00:00:00Z"),
    token("2027-01-01T00:00:00Z"),
    token("2026-03-02T00:00:00Z"),
  ];
  expect(endingSoon(tokens, now).map((each) => each.expires_at.slice(0, 10))).toEqual([
    "2026-03-02",
    "2026-03-10",
  ]);
});
