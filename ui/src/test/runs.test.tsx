import { act, fireEvent, screen, waitFor, within } from "@testing-library/react";
import { HttpResponse, http } from "msw";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import type { Schema } from "~/api/client";
import { frame, get, problem, runOf } from "./handlers";
import { server, showApp, stubBrowser } from "./render";

beforeAll(() => {
  stubBrowser();
  server.listen({ onUnhandledRequest: "error" });
});
afterEach(() => {
  server.resetHandlers();
  vi.restoreAllMocks();
});
afterAll(() => server.close());

const API = "http://tstr.test/api/v1";
const BIG = "9007199254740993";

/** What the page of a run asks for besides the run. */
const around = (run: Schema["Run"]) => [
  get(`/runs/${run.id}`, run),
  get(`/namespaces/${run.namespace}/runs`, { items: [run] }),
  get(`/namespaces/${run.namespace}/dashboard`, () => problem(500, "internal", "The server failed")),
  get(`/namespaces/${run.namespace}/states`, { items: [] }),
  get(`/namespaces/${run.namespace}/tests/${run.test_id}/cells`, { items: [] }),
  get(`/namespaces/${run.namespace}/tests/${run.test_id}`, () => problem(404, "not_found", "No such test")),
];

test("a file is previewed whatever its folders are called, and its numbers stand as they were written", async () => {
  const run = runOf("r1", { artifacts: { files: 1, bytes: 90 } });
  const path = "docs/api/v1/a b.json";
  const file = { path, bytes: 90, sha256: "0".repeat(64), media_type: "application/json" };
  const asked: string[] = [];
  server.use(
    ...frame,
    ...around(run),
    get("/runs/r1/artifacts", { attempt: 1, files: 1, bytes: 90, items: [file], notes: [] }),
    http.get(`${API}/runs/r1/artifacts/*`, ({ request }) => {
      asked.push(request.url);
      return new HttpResponse(`{"id": ${BIG}, "share": 1.0, "small": 1e-7, "n": 12}`);
    }),
  );
  showApp(`/ns/default/runs/r1?tab=artifacts&file=${encodeURIComponent(path)}`);
  const text = await screen.findByText(/"share"/);
  expect(text.textContent).toBe(`{\n  "id": ${BIG},\n  "share": 1.0,\n  "small": 1e-7,\n  "n": 12\n}`);
  expect(asked).toEqual([`${API}/runs/r1/artifacts/docs/api/v1/a%20b.json?attempt=1`]);
});

test("a comparison rounds no number, and stays when a run cannot be read again", async () => {
  let isAway = false;
  const one = (id: string) =>
    get(`/runs/${id}`, () => (isAway ? problem(500, "internal", "The server failed") : runOf(id)));
  const nothing = { surroundings: [], config: [], env: [], labels: [], durations: [], metrics: [] };
  const same = { artifacts: [], same_artifacts: 0, notes: [], before: {}, after: {} };
  const body = JSON.stringify({
    ...nothing,
    ...same,
    data: [{ pointer: "/total", before: "BIG", after: 1 }],
  }).replace('"BIG"', BIG);
  server.use(
    ...frame,
    one("r1"),
    one("r2"),
    http.get(
      `${API}/runs/r1/compare/r2`,
      () => new HttpResponse(body, { headers: { "Content-Type": "application/json" } }),
    ),
  );
  const { queries } = showApp("/ns/default/compare?a=r1&b=r2");
  expect(await screen.findByText(BIG)).toBeTruthy();
  isAway = true;
  await act(() => queries.refetchQueries({ queryKey: ["get", "/api/v1/runs/{run}"] }));
  expect(await screen.findAllByText(/As of/)).toHaveLength(2);
  expect(screen.getByText(BIG)).toBeTruthy();
});

test("a run that is asked for under another namespace is shown under its own, with the rest of the address", async () => {
  const run = runOf("r1", { artifacts: { files: 0, bytes: 0 } });
  server.use(
    ...frame,
    ...around(run),
    get("/namespaces/other/runs", () => problem(404, "not_found", "None")),
    get("/namespaces/other/dashboard", () => problem(500, "internal", "The server failed")),
    get("/runs/r1/artifacts", { attempt: 1, files: 0, bytes: 0, items: [], notes: [] }),
  );
  const { router } = showApp("/ns/other/runs/r1?tab=artifacts#L3");
  await waitFor(() => expect(router.state.location.href).toBe("/ns/default/runs/r1?tab=artifacts#L3"));
  expect(await screen.findByText("This attempt left no files")).toBeTruthy();
});

test("the keys stay at their run when runs come in above it, and the page does not jump", async () => {
  let runs = ["r3", "r2", "r1"];
  server.use(
    ...frame,
    get("/namespaces/default/states", { items: [] }),
    get("/namespaces/default/runs", () => ({
      items: runs.map((id) => runOf(id, { test_name: `test of ${id}` })),
    })),
    get("/runs/r3", () => problem(404, "not_found", "None")),
  );
  const scroll = vi.spyOn(Element.prototype, "scrollIntoView");
  const { queries, router } = showApp("/ns/default/runs");
  await screen.findByText("test of r2");
  const current = () => document.querySelector("tr[aria-current]")?.textContent;
  fireEvent.keyDown(document.body, { key: "j" });
  fireEvent.keyDown(document.body, { key: "j" });
  expect(current()).toContain("test of r2");
  const times = scroll.mock.calls.length;
  runs = ["r5", "r4", ...runs];
  await act(() => queries.invalidateQueries());
  await screen.findByText("test of r5");
  expect(current()).toContain("test of r2");
  expect(scroll).toHaveBeenCalledTimes(times);
  fireEvent.keyDown(document.body, { key: "k" });
  expect(current()).toContain("test of r3");
  fireEvent.keyDown(document.body, { key: "o" });
  await waitFor(() => expect(router.state.location.pathname).toBe("/ns/default/runs/r3"));
});

test("Enter in the palette means what is typed, also before its answer is there", async () => {
  let answer = () => {};
  const page = (name: string) => HttpResponse.json({ items: [{ id: name, name }] });
  server.use(
    ...frame,
    get("/namespaces/default/states", { items: [] }),
    get("/namespaces/default/runs", { items: [] }),
    http.get(`${API}/namespaces/default/tests`, async ({ request }) => {
      if (new URL(request.url).searchParams.get("q") === "cart") return page("cart");
      await new Promise<void>((done) => {
        answer = done;
      });
      return page("checkout");
    }),
    http.get(`${API}/namespaces/default/tests/:test/*`, () => problem(404, "not_found", "None")),
    http.get(`${API}/namespaces/default/tests/:test`, () => problem(404, "not_found", "None")),
  );
  const { router } = showApp("/ns/default/runs");
  await screen.findByText("Nothing has run yet");
  fireEvent.keyDown(document.body, { key: "k", ctrlKey: true });
  const field = await screen.findByRole("combobox", { name: /Search tests/ });
  fireEvent.change(field, { target: { value: "cart" } });
  await waitFor(() => expect(within(field.closest("dialog")!).getByText("cart")).toBeTruthy());
  fireEvent.change(field, { target: { value: "checkout" } });
  fireEvent.keyDown(field, { key: "Enter" });
  await new Promise((done) => setTimeout(done, 50));
  expect(router.state.location.pathname).toBe("/ns/default/runs");
  answer();
  await waitFor(() => expect(router.state.location.pathname).toBe("/ns/default/tests/checkout"));
});
