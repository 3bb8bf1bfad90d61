import { act, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Away } from "~/app/away";
import { PageFailed } from "~/app/outcomes";
import { Button } from "~/parts/basics";
import { showPart, stubBrowser } from "~/test/render";
import { fetchNoting, reachable } from "./reach";

let answer: () => Response | Promise<never> = () => new Response("{}");
const gone = () => Promise.reject(new TypeError("failed to fetch"));
const asked: string[] = [];

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("fetch", async (url: string) => {
    asked.push(new URL(url).pathname);
    return answer();
  });
  asked.length = 0;
  reachable.set(true);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const ask = () => act(() => fetchNoting("http://tstr.test/api/v1/identity").catch(() => undefined));
const pass = (ms: number) => act(() => vi.advanceTimersByTimeAsync(ms));

test("while the server is away that is said, actions are off with the reason, and it is asked until it is back", async () => {
  const act = vi.fn();
  render(
    <>
      <Away />
      <Button busy={false} onClick={act}>
        Cancel
      </Button>
      <Button onClick={() => {}}>Back</Button>
    </>,
  );
  const cancel = screen.getByRole("button", { name: /Cancel/ });
  await ask();
  expect(screen.getByRole("status").textContent).toBe("");
  answer = gone;
  await ask();
  await pass(0);
  expect(screen.getByRole("status").textContent).toContain("The server cannot be reached");
  expect([cancel.title, cancel.getAttribute("aria-disabled")]).toEqual([
    "The server cannot be reached",
    "true",
  ]);
  cancel.click();
  expect(act).not.toHaveBeenCalled();
  // What asks the server for nothing works.
  expect(screen.getByRole("button", { name: "Back" }).getAttribute("aria-disabled")).toBeNull();
  answer = () => new Response("no upstream", { status: 502 });
  await pass(5_100);
  expect(reachable.get()).toBe(false);
  answer = () => new Response("{}");
  await pass(5_100);
  expect(screen.getByRole("status").textContent).toBe("");
  cancel.click();
  expect(act).toHaveBeenCalledTimes(1);
  const times = asked.length;
  await pass(60_000);
  expect(asked.length).toBe(times);
});

test("one request that failed is no reason to say that the server is away", async () => {
  let isFirst = true;
  answer = () => {
    if (!isFirst) return new Response("{}");
    isFirst = false;
    return gone();
  };
  await ask();
  await pass(0);
  expect([reachable.get(), asked]).toEqual([true, ["/api/v1/identity", "/version"]]);
});

test("a file that the server no longer has is loaded with everything else, and one that it cannot give is asked for again", async () => {
  stubBrowser();
  const error = new TypeError(
    "Failed to fetch dynamically imported module: http://tstr.test/assets/run-1.js",
  );
  const page = () => showPart(<PageFailed error={error} reset={() => {}} />);
  const heading = () => screen.queryByRole("heading")?.textContent;
  answer = () => new Response("{}");
  const first = page();
  await pass(100);
  expect([screen.queryByText("Try again"), screen.queryByText("Load everything anew")]).toEqual([
    null,
    expect.anything(),
  ]);
  first.unmount();
  answer = gone;
  page();
  await pass(100);
  expect(heading()).toBe("This page could not be loaded");
  expect([screen.queryByText("Try again"), screen.queryByText("Load everything anew")]).toEqual([
    expect.anything(),
    null,
  ]);
  answer = () => new Response("{}");
  await pass(5_100);
});
