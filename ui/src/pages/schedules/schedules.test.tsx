import { act, fireEvent, screen, waitFor, within } from "@testing-library/react";
import { HttpResponse, http } from "msw";
import { afterEach, expect, test, vi } from "vitest";
import type { Schema } from "~/api/client";
import { inBrowser } from "~/test/browser";
import { frame, get, problem, runOf } from "~/test/handlers";
import { server, showApp } from "~/test/render";

inBrowser();
afterEach(() => vi.useRealTimers());

const BASE = "http://tstr.test/api/v1/namespaces/default";

function row(name: string, more: Partial<Schema["TimetableTest"]>): Schema["TimetableTest"] {
  return {
    test_id: `id-${name}`,
    name,
    cron_schedule: "*/5 * * * *",
    description: "Every five minutes",
    time_zone: "UTC",
    paused: false,
    count: 2016,
    instants: [],
    ...more,
  };
}

const table = (...items: Schema["TimetableTest"][]) =>
  get<Schema["Timetable"]>("/namespaces/default/timetable", {
    from: "2026-03-01T10:00:00Z",
    to: "2026-03-08T10:00:00Z",
    items,
    by_hour: [],
    by_minute: [],
  });

const names = () =>
  within(screen.getByRole("table"))
    .getAllByRole("link")
    .map((link) => link.textContent);

test("an instant that has come is the next one no more", async () => {
  vi.useFakeTimers({ now: Date.parse("2026-03-01T10:02:00Z"), shouldAdvanceTime: true });
  const instants = ["2026-03-01T10:00:00Z", "2026-03-01T10:05:00Z", "2026-03-01T10:10:00Z"];
  server.use(
    ...frame,
    table(row("often", { instants }), row("seldom", { instants: ["2026-03-01T10:07:00Z"] })),
  );
  showApp("/ns/default/schedules");
  await screen.findByText("2026-03-01 10:05:00 UTC");
  // The first instant of the hour has passed and is not shown as the next one.
  expect(screen.queryByText("2026-03-01 10:00:00 UTC")).toBeNull();
  expect(names()).toEqual(["often", "seldom"]);
  await act(() => vi.advanceTimersByTimeAsync(181_000));
  await waitFor(() => expect(names()).toEqual(["seldom", "often"]));
  expect(screen.getByText("2026-03-01 10:10:00 UTC")).toBeTruthy();
});

test("a row opens to its next instants with what a jump of the clock does, and to why others came to nothing", async () => {
  server.use(
    ...frame,
    table(row("nightly", { instants: ["2099-03-29T01:00:00Z"] })),
    get<Schema["TestSchedule"]>("/namespaces/default/tests/nightly/schedule", {
      description: "At 02:30",
      time_zone: "Europe/Berlin",
      paused: false,
      upcoming: [
        {
          at: "2099-03-29T01:00:00Z",
          local: "2099-03-29T03:00:00+02:00",
          note: "02:30 does not exist; it runs at 03:00",
        },
      ],
    }),
    get<Schema["LedgerEntryPage"]>("/namespaces/default/tests/nightly/ledger", {
      items: [
        {
          scheduled_for: "2026-03-02T01:30:00Z",
          outcome: "skipped",
          reason: "concurrency",
          runs: 0,
          instants: 1,
          noted_at: "2026-03-02T01:30:00Z",
        },
        {
          scheduled_for: "2026-03-01T01:30:00Z",
          outcome: "ran",
          late_ms: 65_000,
          matrix_id: "m1",
          runs: 2,
          instants: 1,
          noted_at: "2026-03-01T01:31:05Z",
        },
      ],
    }),
  );
  showApp("/ns/default/schedules");
  const opener = await screen.findByRole("button", { name: /nightly: the next instants/ });
  expect(opener.getAttribute("aria-expanded")).toBe("false");
  fireEvent.click(opener);
  const next = await screen.findByRole("region", { name: "The next instants of nightly" });
  expect(await within(next).findByText("02:30 does not exist; it runs at 03:00")).toBeTruthy();
  const before = screen.getByRole("region", { name: "What became of the instants of nightly" });
  expect(await within(before).findByText("runs of it or of its group were still under way")).toBeTruthy();
  expect(within(before).getByText("the scheduler looked 1 min 05 s late")).toBeTruthy();
  expect(within(before).getByRole("link", { name: "2 runs" }).getAttribute("href")).toBe(
    "/ns/default/runs?matrix=m1",
  );
});

test("a test is run from its row, and what it made is shown", async () => {
  server.use(
    ...frame,
    table(row("nightly", { instants: ["2099-03-29T01:00:00Z"] })),
    get("/runs/r9", runOf("r9")),
    http.post(`${BASE}/tests/nightly/runs`, () =>
      HttpResponse.json({ matrix_id: "m9", runs: [runOf("r9")] }, { status: 201 }),
    ),
  );
  const { router } = showApp("/ns/default/schedules");
  fireEvent.click(await screen.findByRole("button", { name: /^Run now.*nightly/ }));
  await waitFor(() => expect(router.state.location.pathname).toBe("/ns/default/runs/r9"));
});

test("a test that was not run is told, with the reason", async () => {
  server.use(
    ...frame,
    table(row("nightly", { instants: ["2099-03-29T01:00:00Z"] })),
    http.post(`${BASE}/tests/nightly/runs`, () =>
      problem(409, "conflict", "Conflict", "the namespace may not have more waiting runs"),
    ),
  );
  showApp("/ns/default/schedules");
  fireEvent.click(await screen.findByRole("button", { name: /^Run now.*nightly/ }));
  expect(await screen.findByText("nightly was not run")).toBeTruthy();
  expect(await screen.findByText(/the namespace may not have more waiting runs/)).toBeTruthy();
});
