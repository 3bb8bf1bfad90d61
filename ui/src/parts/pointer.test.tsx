import { fireEvent, render, screen, waitFor } from "@testing-library/react";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import type { Schema } from "~/api/client";
import { Bars } from "~/pages/dashboard/bars";
import { Heatmap } from "~/pages/test/heatmap";
import { get, runOf } from "~/test/handlers";
import { server, showPart, stubBrowser } from "~/test/render";
import { Chart } from "./chart";
import { Strip } from "./strip";

// A finger taps without having moved, so a click is all that comes.

beforeAll(() => {
  stubBrowser();
  server.listen({ onUnhandledRequest: "error" });
});
afterEach(() => {
  server.resetHandlers();
  vi.restoreAllMocks();
});
afterAll(() => server.close());

const slider = () => screen.findByRole("slider");

const interval = (start: string, runs = 3): Schema["SummaryInterval"] => ({
  start,
  figures: {
    counts: { runs, pass: runs, fail: 0, error: 0, timed_out: 0, cancelled: 0, flaky: 0 },
  } as Schema["Figures"],
});

/** Everything is so wide. */
function wide(width: number) {
  vi.spyOn(HTMLElement.prototype, "getBoundingClientRect").mockReturnValue({
    left: 0,
    top: 0,
    width,
  } as DOMRect);
}

test("a tap on a bar of a strip opens the run of that bar, and one beside the bars nothing", async () => {
  const runs = [1, 2, 3].map((n) =>
    runOf(`run-${n}`, {
      result: n === 2 ? "fail" : "pass",
      finished_at: `2026-01-01T00:00:0${n}Z`,
    }),
  );
  server.use(get("/namespaces/default/runs", { items: runs }));
  const { router } = showPart(<Strip ns="default" test="cart" cell={{}} strip="pfp" />);
  const bars = await slider();
  // Sixty places of four pixels, and the bars in the last three.
  fireEvent.click(bars, { clientX: 10 });
  await new Promise((done) => setTimeout(done, 50));
  expect(router.state.location.pathname).toBe("/ns/default");
  fireEvent.click(bars, { clientX: 58 * 4 + 1 });
  await waitFor(() => expect(router.state.location.pathname).toBe("/ns/default/runs/run-2"));
});

test("a tap on a point of a chart opens that point", () => {
  vi.stubGlobal(
    "ResizeObserver",
    class {
      constructor(private readonly look: () => void) {}
      observe() {
        this.look();
      }
      disconnect() {}
    },
  );
  vi.spyOn(HTMLElement.prototype, "clientWidth", "get").mockReturnValue(470);
  const onPick = vi.fn();
  const series = [{ name: "Took", tone: "accent" as const, look: "line" as const, values: [1, 2, 3] }];
  render(<Chart label="Durations" times={[0, 1_000, 2_000]} series={series} onPick={onPick} />);
  // The axis takes 62 pixels at the left, and eight stay free at the right.
  fireEvent.click(screen.getByRole("slider"), { clientX: 62 + 190 });
  expect(onPick).toHaveBeenLastCalledWith(1);
  fireEvent.click(screen.getByRole("slider"), { clientX: 70 });
  expect(onPick).toHaveBeenLastCalledWith(0);
  stubBrowser();
});

test("a tap on a bar of the dashboard lists the runs of that interval", async () => {
  wide(300);
  const starts = ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"];
  const { router } = showPart(<Bars intervals={starts.map((at) => interval(at))} interval="day" />);
  fireEvent.click(await slider(), { clientX: 150 });
  await waitFor(() => expect(router.state.location.pathname).toBe("/ns/default/runs"));
  expect(router.state.location.search).toEqual({
    after: "2026-01-01T23:59:59.999Z",
    before: "2026-01-03T00:00:00.000Z",
  });
});

test("a day of a summary is called by its day of UTC, whatever zone is chosen", async () => {
  localStorage.setItem("tstr.zone", "America/New_York");
  dispatchEvent(new StorageEvent("storage", { key: "tstr.zone", newValue: "America/New_York" }));
  showPart(<Bars intervals={[interval("2026-01-02T00:00:00Z")]} interval="day" />);
  expect((await slider()).getAttribute("aria-valuetext")).toBe("2026-01-02 UTC: 3 runs, all passed");
  localStorage.clear();
  dispatchEvent(new StorageEvent("storage", { key: "tstr.zone", newValue: null }));
});

test("a tap on a day of the calendar lists the runs of that day", async () => {
  wide(400);
  // From a Monday on.
  const days = ["2026-01-05", "2026-01-06", "2026-01-07"].map((date) => interval(`${date}T00:00:00Z`));
  const { router } = showPart(<Heatmap test="cart" intervals={days} />);
  // The second row of the first week.
  fireEvent.click(await slider(), { clientX: 30 + 4, clientY: 16 + 15 + 4 });
  await waitFor(() => expect(router.state.location.pathname).toBe("/ns/default/runs"));
  expect(router.state.location.search).toMatchObject({ test: "cart", before: "2026-01-07T00:00:00.000Z" });
});
