import { act, fireEvent, screen, waitFor, within } from "@testing-library/react";
import { HttpResponse, http } from "msw";
import { expect, test } from "vitest";
import type { Schema } from "~/api/client";
import { inBrowser } from "~/test/browser";
import { dashboardOf, frame, get, runOf } from "~/test/handlers";
import { server, showApp } from "~/test/render";

inBrowser();

const BASE = "http://tstr.test/api/v1/namespaces/default";

const counts: Schema["RunCounts"] = {
  runs: 20,
  pass: 15,
  fail: 3,
  error: 1,
  timed_out: 0,
  cancelled: 1,
  flaky: 2,
  attempts: 22,
};

function summary(more: Partial<Schema["Summary"]> = {}): Schema["Summary"] {
  const spread = { count: 20, mean_ms: 1_000, p50_ms: 1_000, p95_ms: 2_000 };
  const hour = (index: number) =>
    new Date(Date.parse("2026-03-01T00:00:00Z") + index * 3_600_000).toISOString();
  return {
    interval: "hour",
    from: hour(0),
    to: hour(10),
    as_of: hour(10),
    is_current: true,
    totals: { counts, wait: spread, duration: spread },
    intervals: Array.from({ length: 10 }, (_, index) => ({
      start: hour(index),
      figures: { counts: { ...counts, runs: 2 }, wait: spread, duration: spread },
    })),
    tests: [],
    tests_more: 0,
    runners: [],
    runners_more: 0,
    labels: [],
    labels_more: 0,
    ...more,
  };
}

test("each number leads to what it counts", async () => {
  server.use(
    get("/namespaces/default/dashboard", () =>
      dashboardOf({
        tests: { total: 20, failing: 3, newly_failing: 2, flaky: 4, slower: 0 },
        runners: { total: 3, online: 2, draining: 1, slots: 8, slots_used: 5 },
      }),
    ),
    ...frame,
    get("/namespaces/default/summary", summary()),
  );
  showApp("/ns/default");
  const to = async (name: string | RegExp) =>
    (await screen.findByRole("link", { name })).getAttribute("href");
  const span = "after=2026-02-28T23:59:59.999Z&before=2026-03-01T10:00:00.000Z";
  expect(await to("2 newly")).toBe("/ns/default#newly-failing");
  expect(await to("1 draining")).toBe("/ns/default/runners?state=draining");
  expect(await to("5 of 8 slots")).toBe("/ns/default/runs?state=leased&state=running");
  expect(await to("all 4 flaky")).toBe("/ns/default/tests?state=flaky");
  expect(await to("20")).toBe(`/ns/default/runs?${span}`);
  expect(await to("79 %")).toBe(`/ns/default/runs?${span}&result=pass`);
  expect(await to("4 did not")).toBe(`/ns/default/runs?${span}&result=fail&result=error&result=timed_out`);
});

test("the three steps tick themselves off as they are done, and go away with the first result", async () => {
  let said = dashboardOf({
    tests: { total: 0, failing: 0, newly_failing: 0, flaky: 0, slower: 0 },
    runners: { total: 0, online: 0, draining: 0, slots: 0, slots_used: 0 },
  });
  let runs: Schema["Run"][] = [];
  server.use(
    get("/namespaces/default/dashboard", () => said),
    ...frame,
    get("/namespaces/default/summary", summary()),
    http.get(`${BASE}/runs`, () => HttpResponse.json({ items: runs })),
  );
  const { queries } = showApp("/ns/default");
  const steps = async () => (await screen.findAllByText(/^(Done|To do):$/)).map((each) => each.textContent);
  expect(await steps()).toEqual(["Done:", "To do:", "To do:"]);
  said = { ...said, runners: { total: 1, online: 1, draining: 0, slots: 1, slots_used: 0 } };
  await act(() => queries.invalidateQueries());
  await waitFor(async () => expect(await steps()).toEqual(["Done:", "Done:", "To do:"]));
  said = { ...said, tests: { ...said.tests, total: 1 } };
  await act(() => queries.invalidateQueries());
  await waitFor(async () => expect(await steps()).toEqual(["Done:", "Done:", "Done:"]));
  expect(await screen.findByText(/No run of it has ended yet/)).toBeTruthy();
  runs = [runOf("r1")];
  await act(() => queries.invalidateQueries());
  await waitFor(() => expect(screen.queryByText("Three steps to the first result")).toBeNull());
});

test("a span of time is in the address and asked for; its fields are read in the zone that is shown", async () => {
  const asked: URLSearchParams[] = [];
  server.use(
    get("/namespaces/default/dashboard", () => dashboardOf()),
    ...frame,
    http.get(`${BASE}/summary`, ({ request }) => {
      asked.push(new URL(request.url).searchParams);
      return HttpResponse.json(summary());
    }),
  );
  const { router } = showApp("/ns/default");
  fireEvent.click(await screen.findByRole("button", { name: "from … to" }));
  const dialog = await screen.findByRole("dialog", { name: "A span of time" });
  const field = (name: string, value: string) =>
    fireEvent.change(within(dialog).getByLabelText(name), { target: { value } });
  field("From", "2026-02-01T12:00");
  field("Until", "2026-02-01T10:00");
  expect(within(dialog).getByRole("status").textContent).toBe("It ends before it begins");
  field("Until", "2026-03-01T10:00");
  fireEvent.click(within(dialog).getByRole("button", { name: "Show it" }));
  await waitFor(() =>
    expect(router.state.location.href).toBe(
      "/ns/default?after=2026-02-01T12:00:00.000Z&before=2026-03-01T10:00:00.000Z",
    ),
  );
  await waitFor(() =>
    expect(Object.fromEntries(asked.at(-1) ?? [])).toEqual({
      scheduled_after: "2026-02-01T12:00:00.000Z",
      scheduled_before: "2026-03-01T10:00:00.000Z",
      interval: "day",
    }),
  );
  fireEvent.click(await screen.findByRole("button", { name: "7d" }));
  await waitFor(() => expect(router.state.location.href).toBe("/ns/default?range=7d"));
});

/** jsdom knows no pointer events; what is read of them, those of a mouse have as well. */
function pointer(target: Element | Window, type: string, init: MouseEventInit) {
  fireEvent(target, new MouseEvent(type, { bubbles: true, cancelable: true, ...init }));
}

test("a drag with Shift over the bars narrows the time, and opens nothing", async () => {
  server.use(
    get("/namespaces/default/dashboard", () => dashboardOf()),
    ...frame,
    get("/namespaces/default/summary", summary()),
  );
  const { router } = showApp("/ns/default");
  const bars = await screen.findByRole("slider", { name: "Runs over time" });
  // Ten hours on a thousand pixels; the drag ends within an hour, all of which is shown.
  bars.getBoundingClientRect = () => new DOMRect(100, 50, 1_000, 132);
  pointer(bars, "pointerdown", { clientX: 300, shiftKey: true, button: 0 });
  pointer(window, "pointermove", { clientX: 500 });
  expect(screen.getByTestId("span").style.width).toBe("200px");
  pointer(window, "pointermove", { clientX: 470 });
  pointer(window, "pointerup", { clientX: 470 });
  fireEvent.click(bars);
  await waitFor(() =>
    expect(router.state.location.href).toBe(
      "/ns/default?after=2026-03-01T02:00:00.000Z&before=2026-03-01T04:00:00.000Z",
    ),
  );
});

test("a drag that Escape ends narrows nothing, and without Shift there is none", async () => {
  server.use(
    get("/namespaces/default/dashboard", () => dashboardOf()),
    ...frame,
    get("/namespaces/default/summary", summary()),
  );
  const { router } = showApp("/ns/default");
  const bars = await screen.findByRole("slider", { name: "Runs over time" });
  bars.getBoundingClientRect = () => new DOMRect(100, 50, 1_000, 132);
  pointer(bars, "pointerdown", { clientX: 300, button: 0 });
  expect(screen.queryByTestId("span")).toBeNull();
  pointer(bars, "pointerdown", { clientX: 300, shiftKey: true, button: 0 });
  pointer(window, "pointermove", { clientX: 500 });
  expect(screen.getByTestId("span")).toBeTruthy();
  fireEvent.keyDown(window, { key: "Escape" });
  pointer(window, "pointerup", { clientX: 500 });
  expect(screen.queryByTestId("span")).toBeNull();
  expect(router.state.location.href).toBe("/ns/default");
});
