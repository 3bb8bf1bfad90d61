import { fireEvent, screen, waitFor, within } from "@testing-library/react";
import { HttpResponse, http } from "msw";
import { expect, test } from "vitest";
import { inBrowser } from "~/test/browser";
import { frame, get, problem, runOf, testDef } from "~/test/handlers";
import { server, showApp } from "~/test/render";

inBrowser();

const BASE = "http://tstr.test/api/v1/namespaces/default";

const tests = [
  testDef("cart", { labels: { region: "nyc" }, annotations: { owner: "ada" }, cron_schedule: "@daily" }),
  testDef("login", { labels: { region: "sfo" } }),
  testDef("pay", { labels: { region: "nyc" } }),
];

const page = [
  ...frame,
  get("/namespaces/default/states", { items: [] }),
  get("/namespaces/default/tests", { items: tests }),
  get("/namespaces/default/runs", { items: [] }),
  get("/namespaces/default/summary", () => problem(500, "internal", "The server failed")),
];

const region = () => screen.findByRole("region", { name: "Picked tests" });

async function pick(...names: string[]) {
  for (const name of names) fireEvent.click(await screen.findByRole("checkbox", { name: `Pick ${name}` }));
}

test("each picked test has its turn, and what became of each is told", async () => {
  const asked: string[] = [];
  server.use(
    ...page,
    http.post(`${BASE}/tests/:test/runs`, ({ params }) => {
      asked.push(String(params.test));
      return params.test === "cart"
        ? problem(429, "quota_exceeded", "Too many", "the namespace may not have more waiting runs")
        : HttpResponse.json({ matrix_id: "m1", runs: [runOf("r1"), runOf("r2")] }, { status: 201 });
    }),
  );
  showApp("/ns/default/tests");
  await pick("cart", "login");
  const bar = await region();
  fireEvent.click(within(bar).getByRole("button", { name: "Run" }));
  expect(await within(bar).findByText("the namespace may not have more waiting runs")).toBeTruthy();
  await waitFor(() => expect(within(bar).getByRole("status").textContent).toBe("1 test started, 1 failed."));
  expect(within(bar).getByRole("link", { name: "2 runs" }).getAttribute("href")).toBe(
    "/ns/default/runs?matrix=m1",
  );
  expect(asked).toEqual(["cart", "login"]);
});

test("nothing is tried after a refusal that all would have", async () => {
  const asked: string[] = [];
  server.use(
    ...page,
    http.post(`${BASE}/tests/:test/pause`, ({ params }) => {
      asked.push(String(params.test));
      return problem(403, "forbidden", "Forbidden", "this needs the scope control");
    }),
  );
  showApp("/ns/default/tests");
  await pick("cart", "login");
  const bar = await region();
  fireEvent.click(within(bar).getByRole("button", { name: "Pick all 3" }));
  fireEvent.click(await within(bar).findByRole("button", { name: "Pause" }));
  await waitFor(() =>
    expect(within(bar).getByRole("status").textContent).toBe(
      "0 tests paused, 1 failed, 2 not tried any more.",
    ),
  );
  expect(asked).toEqual(["cart"]);
});

test("the flaky cases of picked tests are put in quarantine, once for all cells of a case", async () => {
  const put: [string, unknown][] = [];
  const state = (case_id: string, cell: Record<string, string>) => ({ case_id, cell });
  server.use(
    ...page,
    http.get(`${BASE}/tests/:test/cases`, ({ params, request }) => {
      expect(new URL(request.url).searchParams.getAll("status")).toEqual(["flaky"]);
      return HttpResponse.json({
        items:
          params.test === "cart" ? [state("c1", { region: "nyc" }), state("c1", {}), state("c2", {})] : [],
      });
    }),
    http.put(`${BASE}/tests/:test/quarantine/:case`, async ({ params, request }) => {
      put.push([`${params.test} ${params.case}`, await request.json()]);
      return HttpResponse.json({});
    }),
  );
  showApp("/ns/default/tests");
  await pick("cart", "pay");
  fireEvent.click(within(await region()).getByRole("button", { name: "Quarantine…" }));
  const dialog = await screen.findByRole("dialog", { name: "Quarantine cases of 2 tests" });
  fireEvent.click(within(dialog).getByRole("button", { name: /^Quarantine/ }));
  expect(put).toEqual([]);
  fireEvent.change(within(dialog).getByLabelText("Owner"), { target: { value: "ada" } });
  fireEvent.change(within(dialog).getByLabelText("Reason"), { target: { value: "since #12" } });
  fireEvent.click(within(dialog).getByRole("button", { name: "Quarantine" }));
  expect(await within(dialog).findByText("2 cases in quarantine")).toBeTruthy();
  expect(await within(dialog).findByText("no case of it is flaky")).toBeTruthy();
  const body = { mode: "mute", owner: "ada", reason: "since #12", days: 14 };
  expect(put).toEqual([
    ["cart c1", body],
    ["cart c2", body],
  ]);
});

test("facets count what is listed, and a press is a filter in the address", async () => {
  const labels: string[][] = [];
  server.use(
    http.get(`${BASE}/tests`, ({ request }) => {
      labels.push(new URL(request.url).searchParams.getAll("label"));
      return HttpResponse.json({ items: tests });
    }),
    ...page,
  );
  const { router } = showApp("/ns/default/tests");
  fireEvent.click(await screen.findByRole("button", { name: "Facets" }));
  const group = await screen.findByRole("group", { name: "region" });
  const nyc = within(group).getByRole("button", { name: /nyc/ });
  expect(nyc.textContent).toBe("nyc2");
  fireEvent.click(nyc);
  await waitFor(() => expect(router.state.location.href).toContain("label=region%3Dnyc"));
  await waitFor(() => expect(labels).toContainEqual(["region=nyc"]));
  const schedule = await screen.findByRole("group", { name: "Schedule" });
  fireEvent.click(within(schedule).getByRole("button", { name: /without one/ }));
  await waitFor(() => expect(router.state.location.href).toContain("schedule=no"));
  await waitFor(() => expect(screen.queryByRole("checkbox", { name: "Pick cart" })).toBeNull());
  expect(screen.getByRole("checkbox", { name: "Pick login" })).toBeTruthy();
});
