import { screen, within } from "@testing-library/react";
import { HttpResponse, http } from "msw";
import { expect, test } from "vitest";
import type { Schema } from "~/api/client";
import { inBrowser } from "~/test/browser";
import { frame, get, problem } from "~/test/handlers";
import { server, showApp } from "~/test/render";

inBrowser();

function runner(name: string, more: Partial<Schema["Runner"]> = {}): Schema["Runner"] {
  return {
    id: `id-${name}`,
    name,
    state: "live",
    draining: false,
    namespaces: [".*"],
    accept: {},
    reject: {},
    slots: 4,
    slots_used: 0,
    about: { version: "1", engine: "podman 4", platform: "linux", limits_enforced: [] },
    registered_at: "2026-03-01T00:00:00Z",
    last_seen_at: "2026-03-01T00:00:00Z",
    ...more,
  };
}

const counts = (runs: number, fail: number): Schema["RunCounts"] => ({
  runs,
  pass: runs - fail,
  fail,
  error: 0,
  timed_out: 0,
  cancelled: 0,
  flaky: 0,
  attempts: runs,
});

const figure = (name: string, runs: number, fail: number): Schema["SummaryRunner"] => ({
  runner_id: `id-${name}`,
  runner_name: name,
  slots: 4,
  counts: counts(runs, fail),
  busy_ms: 0,
  utilisation: 0.5,
});

const summary: Schema["Summary"] = {
  interval: "day",
  from: "2026-02-22T00:00:00Z",
  to: "2026-03-01T00:00:00Z",
  as_of: "2026-03-01T00:00:00Z",
  is_current: true,
  totals: { counts: counts(120, 32) },
  intervals: [],
  tests: [],
  tests_more: 0,
  runners: [figure("bad", 100, 30), figure("good", 20, 2)],
  runners_more: 0,
  labels: [],
  labels_more: 0,
};

const page = [
  ...frame,
  http.get("http://tstr.test/version", () =>
    HttpResponse.json({ version: "1", api: "v1", zone_tables: "x" }),
  ),
];

test("a runner that fails more often than the others is marked, also where most runs are its own", async () => {
  server.use(
    ...page,
    get("/namespaces/default/runners", { items: [runner("bad"), runner("good")] }),
    get("/namespaces/default/summary", summary),
  );
  showApp("/ns/default/runners");
  const row = async (name: string) => (await screen.findByRole("link", { name })).closest("tr")!;
  const bad = await row("bad");
  expect((await within(bad).findByText("worse than the fleet")).getAttribute("title")).toContain(
    "10.0 % failed",
  );
  expect(within(bad).getByRole("link", { name: "100" }).getAttribute("href")).toBe(
    "/ns/default/runs?runner=id-bad&after=2026-02-21T23:59:59.999Z",
  );
  expect(within(await row("good")).queryByText("worse than the fleet")).toBeNull();
});

test("a runner says what it never takes", async () => {
  server.use(
    ...page,
    get("/runners/id-bad", runner("bad", { accept: { region: "nyc|sfo" }, reject: { env: "prod" } })),
    get("/namespaces/default/outages", { items: [] }),
    get("/namespaces/default/runs", { items: [] }),
    get("/namespaces/default/summary", () => problem(500, "internal", "The server failed")),
  );
  showApp("/ns/default/runners/id-bad");
  const panel = (await screen.findByRole("heading", { name: "What it never takes" })).closest("section")!;
  expect(
    within(panel)
      .getAllByRole("listitem")
      .map((each) => each.textContent),
  ).toEqual([
    "runs whose label env isprod",
    "runs whose label region is notnyc|sfo",
    "runs with any label but region",
  ]);
});

test("a runner says when its control test failed, and that it goes on", async () => {
  server.use(
    ...page,
    get("/runners/id-bad", runner("bad")),
    get("/namespaces/default/runs", { items: [] }),
    get("/namespaces/default/summary", () => problem(500, "internal", "The server failed")),
    get<Schema["OutagePage"]>("/namespaces/default/outages", {
      items: [
        {
          runner_id: "id-bad",
          runner_name: "bad",
          since: "2026-03-01T00:00:00Z",
          failed_at: "2026-03-01T00:05:00Z",
        },
        {
          runner_id: "id-bad",
          runner_name: "bad",
          since: "2026-02-01T00:00:00Z",
          until: "2026-02-01T01:30:00Z",
        },
      ],
    }),
  );
  showApp("/ns/default/runners/id-bad");
  const panel = (await screen.findByRole("heading", { name: "When its control test failed" })).closest(
    "section",
  )!;
  const [now, before] = await within(panel).findAllByRole("listitem");
  expect(now?.textContent).toContain("goes on");
  expect(before?.textContent).toBe("2026-02-01 00:00:00 UTC to 2026-02-01 01:30:00 UTC1 h 30 min");
});

test("without a runner there is the command that starts one", async () => {
  server.use(
    ...page,
    get("/namespaces/default/runners", { items: [] }),
    get("/namespaces/default/summary", () => problem(500, "internal", "The server failed")),
  );
  showApp("/ns/default/runners");
  expect(await screen.findByText("No runner takes runs of this namespace")).toBeTruthy();
  expect(screen.getByRole("button", { name: "Copy the command" })).toBeTruthy();
});
