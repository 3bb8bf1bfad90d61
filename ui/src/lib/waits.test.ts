import { expect, test } from "vitest";
import { lastWait } from "./waits";

const run = (id: string, leased_at: string | undefined, attempt = 1) => ({
  id,
  created_at: "2026-03-01T10:00:00Z",
  leased_at,
  attempt,
  trigger: "schedule" as const,
});

test("the last wait is that of the run that was taken last", () => {
  const found = lastWait([
    run("a", "2026-03-01T10:00:04Z"),
    run("b", "2026-03-01T10:00:09Z"),
    run("c", undefined),
  ]);
  expect(found).toMatchObject({ run: { id: "b" }, ms: 9_000 });
});

test("a second attempt and an uploaded report tell nothing of the queue", () => {
  expect(lastWait([run("a", "2026-03-01T12:00:00Z", 2)])).toBeUndefined();
  expect(lastWait([{ ...run("a", "2026-03-01T10:00:04Z"), trigger: "upload" as const }])).toBeUndefined();
});
