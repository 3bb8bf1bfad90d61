import { fireEvent, render, screen, waitFor } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { followKeys } from "~/app/keys";
import { Engine } from "./engine";
import { LogView } from "./LogView";
import type { Answer, Request } from "./protocol";
import { LIMITS } from "./protocol";

/** A worker that is no other thread. */
class FakeWorker {
  onmessage: ((event: { data: Answer }) => void) | undefined;
  private readonly engine = new Engine((data) => this.onmessage?.({ data }));
  postMessage = (request: Request) => queueMicrotask(() => this.engine.take(request));
  terminate = () => this.engine.close();
}

let log = "";

beforeEach(() => {
  vi.stubGlobal("Worker", FakeWorker);
  vi.stubGlobal(
    "ResizeObserver",
    class {
      observe() {}
      disconnect() {}
    },
  );
  // In jsdom nothing has a size.
  vi.spyOn(HTMLElement.prototype, "clientHeight", "get").mockReturnValue(400);
  vi.spyOn(HTMLElement.prototype, "clientWidth", "get").mockReturnValue(800);
  vi.stubGlobal("fetch", async (url: string) => {
    const after = new URL(url).searchParams.get("after");
    const entry = { seq: 1, time: "2026-01-01T00:00:01.5Z", stream: "stdout", data: log };
    return log === "gone"
      ? new Response("{}", { status: 410 })
      : new Response(after || !log ? "" : `${JSON.stringify(entry)}\n`);
  });
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
  localStorage.clear();
});

const lines = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, at) => `line ${from + at}\n`).join("");
const row = (line: number) => document.querySelector<HTMLElement>(`[data-line="${line}"]`);
const top = () => screen.getByRole("log").scrollTop / 20;

test("the lines of the address are shown and marked, and shift makes a range of them", async () => {
  log = lines(1, 500);
  const onAnchor = vi.fn();
  render(<LogView runId="r" attempt={1} live={false} anchor={{ from: 300, to: 302 }} onAnchor={onAnchor} />);
  await waitFor(() => expect(row(301)?.className).toContain("log-marked"));
  expect(row(303)?.className).not.toContain("log-marked");
  expect(row(1)).toBeNull();
  const number = (line: number) => screen.getByRole("button", { name: `Link to line ${line}` });
  fireEvent.click(number(305));
  expect(onAnchor).toHaveBeenLastCalledWith({ from: 305, to: 305 });
  fireEvent.click(number(305), { shiftKey: true });
  expect(onAnchor).toHaveBeenLastCalledWith({ from: 300, to: 305 });
});

test("a line that is not there is told", async () => {
  log = lines(1, 5);
  render(<LogView runId="r" attempt={1} live={false} anchor={{ from: 90, to: 90 }} />);
  expect(await screen.findByText(/This log has no line 90: it ends at line 5/)).toBeTruthy();
});

test("a failed run opens at its first error, else at its end; another at its beginning", async () => {
  log = `${lines(1, 200)}::error::broke\n${lines(202, 500)}`;
  const first = render(<LogView runId="r" attempt={1} live={false} failed />);
  await waitFor(() => expect(row(201)?.textContent).toContain("Error: broke"));
  expect(await screen.findByText("1 error")).toBeTruthy();
  first.unmount();
  log = lines(1, 500);
  const second = render(<LogView runId="r" attempt={1} live={false} failed />);
  await waitFor(() => expect(row(500)).not.toBeNull());
  second.unmount();
  render(<LogView runId="r" attempt={1} live={false} />);
  await waitFor(() => expect(row(1)).not.toBeNull());
  expect(top()).toBe(0);
});

test("a log is followed until somebody scrolls up, and again at its end", async () => {
  log = lines(1, 300);
  render(<LogView runId="r" attempt={1} live />);
  await waitFor(() => expect(row(300)).not.toBeNull());
  const box = screen.getByRole("log");
  const button = screen.getByRole("button", { name: "Following" });
  const end = box.scrollTop;
  box.scrollTop = end - 200;
  fireEvent.scroll(box);
  expect(button.getAttribute("aria-pressed")).toBe("false");
  box.scrollTop = end;
  fireEvent.scroll(box);
  expect(button.getAttribute("aria-pressed")).toBe("true");
});

test("what is searched for is counted, marked and gone through by keys", async () => {
  log = `${lines(1, 100)}needle\n${lines(102, 200)}a needle\n`;
  const stop = followKeys();
  render(<LogView runId="r" attempt={1} live={false} />);
  await waitFor(() => expect(row(1)).not.toBeNull());
  const field = await screen.findByRole("searchbox", { name: "Search the log" });
  fireEvent.change(field, { target: { value: "needle" } });
  expect(await screen.findByText("1 of 2 lines")).toBeTruthy();
  await waitFor(() => expect(row(101)?.querySelector(".log-found")?.textContent).toBe("needle"));
  fireEvent.keyDown(document.body, { key: "n" });
  expect(await screen.findByText("2 of 2 lines")).toBeTruthy();
  await waitFor(() => expect(row(200)).not.toBeNull());
  fireEvent.keyDown(document.body, { key: "N" });
  expect(await screen.findByText("1 of 2 lines")).toBeTruthy();
  stop();
});

test("markup of a log is text", async () => {
  log =
    "<img src=x onerror=alert(1)><script>alert(1)</script>\n\u001b]8;;javascript:alert(1)\u0007x\u001b]8;;\u0007\n";
  render(<LogView runId="r" attempt={1} live={false} />);
  await waitFor(() => expect(row(1)?.textContent).toContain("<script>alert(1)</script>"));
  expect(screen.getByRole("log").querySelectorAll("img, script, a")).toHaveLength(0);
});

test("a log without lines says why", async () => {
  log = "";
  const first = render(<LogView runId="r" attempt={1} live={false} />);
  expect(await screen.findByText("The test wrote nothing")).toBeTruthy();
  first.unmount();
  const second = render(<LogView runId="r" attempt={1} live />);
  expect(await screen.findByText("Nothing has been written yet")).toBeTruthy();
  second.unmount();
  log = "gone";
  render(<LogView runId="r" attempt={1} live={false} />);
  expect(await screen.findByText("This log was removed by retention")).toBeTruthy();
});

test("of a log whose beginning is not read no line has a number, and none is marked by one", async () => {
  log = `${lines(1, 50)}::error file=a.rs,line=3::broke\n${lines(52, 60)}`;
  // The end is read as bytes.
  vi.stubGlobal("fetch", async (_: string, init: { headers: Record<string, string> }) => {
    const from = Number(/bytes=(\d+)-/.exec(init.headers.Range ?? "")?.[1]);
    return new Response(from > 50 ? "\n" : `\n${log}`, { status: 206 });
  });
  const anchor = { from: 20, to: 21 };
  render(<LogView runId="r" attempt={1} live={false} failed bytes={LIMITS.bytes + 40} anchor={anchor} />);
  await waitFor(() => expect(row(1)).not.toBeNull());
  expect(await screen.findByText(/The address names line 20, which cannot be found/)).toBeTruthy();
  expect(document.querySelector(".log-marked")).toBeNull();
  expect(screen.queryByRole("button", { name: /go to a line/ })).toBeNull();
  const annotation = (await screen.findByText("1 error")).closest("details")?.querySelector("li");
  expect(annotation?.textContent).toContain("broke");
  expect(annotation?.textContent).toContain("a.rs:3");
  expect(annotation?.textContent).not.toMatch(/line \d/);
});
