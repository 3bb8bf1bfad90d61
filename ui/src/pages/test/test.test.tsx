import { fireEvent, screen, waitFor, within } from "@testing-library/react";
import { HttpResponse, http } from "msw";
import { expect, test } from "vitest";
import type { Schema } from "~/api/client";
import { inBrowser } from "~/test/browser";
import { frame, get, problem, runOf, testDef } from "~/test/handlers";
import { server, showApp } from "~/test/render";

inBrowser();

const page = [
  ...frame,
  get("/namespaces/default/tests/cart", testDef("cart")),
  get("/namespaces/default/tests/cart/cells", { items: [] }),
  get("/namespaces/default/summary", () => problem(404, "not_found", "None")),
  get("/namespaces/default/runs", { items: [] }),
];

test("the numbers of a test are narrowed to the span in the address, and shown whole again", async () => {
  const series: Schema["TestSeries"] = {
    test_id: "id-cart",
    runs: ["01", "02", "03"].map((day) => ({
      run_id: `r${day}`,
      finished_at: `2026-03-${day}T00:00:00Z`,
      result: "pass",
    })),
    series: [{ source: "result_data", name: "requests", values: [10, 20, 30] }],
    more: 0,
  };
  server.use(...page, get("/namespaces/default/tests/cart/series", series));
  const { router } = showApp("/ns/default/tests/cart?tab=metrics&after=2026-03-01T12:00:00Z");
  expect(await screen.findByText("latest 30, median 20, 20 to 30")).toBeTruthy();
  expect(screen.getByText(/2 of the latest 3 runs/)).toBeTruthy();
  fireEvent.click(screen.getByRole("button", { name: "show the latest" }));
  expect(await screen.findByText("latest 30, median 20, 10 to 30")).toBeTruthy();
  await waitFor(() => expect(router.state.location.href).toBe("/ns/default/tests/cart?tab=metrics"));
});

const grid: Schema["TestGrid"] = {
  test_id: "id-cart",
  runs: ["r1", "r2", "r3"].map((run_id, index) => ({
    run_id,
    cell: (index === 0 ? { region: "nyc" } : {}) as Record<string, string>,
    attempt: 1,
    finished_at: `2026-03-0${index + 1}T00:00:00Z`,
    result: index === 2 ? ("fail" as const) : ("pass" as const),
    flaky: false,
  })),
  cases: [
    {
      case_id: "c1",
      key: { suite: ["shop"], name: "pays" },
      strip: "prf",
      standing: "new",
      status: "flaky",
      duration_ms: 1_500,
    },
    { case_id: "c2", key: { name: "browses" }, strip: "p.s", standing: "removed", status: "healthy" },
  ],
  total: { count: 80, more: false },
};

test("cases stand against runs, and keys move over both", async () => {
  server.use(
    ...page,
    get("/namespaces/default/tests/cart/grid", grid),
    get("/runs/r2", runOf("r2")),
    get("/runs/r2/cases", { items: [] }),
    get("/runs/r2/results", { attempt: 1, reports: [] }),
    get("/runs/r2/changes", () => problem(404, "not_found", "None")),
    get("/namespaces/default/tests/id-cart", testDef("cart")),
    get("/namespaces/default/tests/id-cart/versions", { items: [] }),
    get("/namespaces/default/tests/id-cart/cells", { items: [] }),
    get("/runs/r2/cases/c1", () => problem(404, "not_found", "None")),
  );
  const { router } = showApp("/ns/default/tests/cart?tab=cases");
  const runs = await screen.findByRole("slider", { name: "How the runs ended" });
  const pays = screen.getByRole("slider", { name: /^shop › pays, 3 runs: 1 pass, 1 pass after/ });
  // One stop for Tab in the whole grid.
  expect(screen.getAllByRole("slider").map((each) => each.tabIndex)).toEqual([0, -1, -1]);
  expect(runs.getAttribute("aria-valuetext")).toBe("run 3 of 3: fail");
  fireEvent.focus(runs);
  fireEvent.keyDown(runs, { key: "ArrowDown" });
  expect(document.activeElement).toBe(pays);
  fireEvent.keyDown(pays, { key: "ArrowLeft" });
  expect(pays.getAttribute("aria-valuetext")).toBe("run 2 of 3: pass after a failed attempt");
  expect(pays.tabIndex).toBe(0);
  expect(screen.getByRole("link", { name: /^run of/ }).getAttribute("href")).toBe(
    "/ns/default/runs/r2?tab=cases&case=c1",
  );
  fireEvent.keyDown(pays, { key: "Enter" });
  await waitFor(() => expect(router.state.location.href).toBe("/ns/default/runs/r2?tab=cases&case=c1"));
});

test("chips say where a case stands, and more cases are asked for", async () => {
  const asked: (string | null)[] = [];
  server.use(
    ...page,
    http.get("http://tstr.test/api/v1/namespaces/default/tests/cart/grid", ({ request }) => {
      asked.push(new URL(request.url).searchParams.get("cases"));
      return HttpResponse.json(grid);
    }),
  );
  showApp("/ns/default/tests/cart?tab=cases");
  expect(await screen.findByText("new")).toBeTruthy();
  expect(screen.getByText("removed")).toBeTruthy();
  expect(screen.getByText("1.5 s")).toBeTruthy();
  const legend = screen.getByRole("list", { name: "What the marks mean" });
  expect(within(legend).getAllByRole("listitem")).toHaveLength(6);
  fireEvent.click(screen.getByRole("button", { name: "show up to 200" }));
  await waitFor(() => expect(asked).toEqual(["50", "200"]));
});

test("a place of the grid is opened where it is tapped", async () => {
  server.use(
    ...page,
    get("/namespaces/default/tests/cart/grid", grid),
    http.get("http://tstr.test/api/v1/runs/:run", ({ params }) =>
      HttpResponse.json(runOf(String(params.run))),
    ),
    get("/namespaces/default/tests/id-cart", testDef("cart")),
    get("/namespaces/default/tests/id-cart/versions", { items: [] }),
    get("/namespaces/default/tests/id-cart/cells", { items: [] }),
    http.get("http://tstr.test/api/v1/runs/:run/:rest", () => problem(404, "not_found", "None")),
  );
  const { router } = showApp("/ns/default/tests/cart?tab=cases");
  const row = await screen.findByRole("slider", { name: /^browses/ });
  row.getBoundingClientRect = () => new DOMRect(100, 0, 24, 24);
  // The second of three places: the case is not in that run, so the run is opened without it.
  fireEvent.click(row, { clientX: 112 });
  await waitFor(() => expect(router.state.location.href).toBe("/ns/default/runs/r2?tab=cases"));
});

test("what is searched for is found in the list, and the cell is asked for", async () => {
  const asked: URLSearchParams[] = [];
  server.use(
    get<Schema["CellStatePage"]>("/namespaces/default/tests/cart/cells", {
      items: [
        { cell: { region: "nyc" }, strip: "p", status: "healthy", label: "healthy" },
        { cell: { region: "sfo" }, strip: "p", status: "healthy", label: "healthy" },
      ],
    }),
    ...page,
    http.get("http://tstr.test/api/v1/namespaces/default/tests/cart/cases", ({ request }) => {
      asked.push(new URL(request.url).searchParams);
      return HttpResponse.json({ items: [] });
    }),
    get("/namespaces/default/tests/cart/grid", { ...grid, cases: [] }),
  );
  const { router } = showApp("/ns/default/tests/cart?tab=cases&q=pays&slowest=true");
  expect(await screen.findByText("No case is like that")).toBeTruthy();
  expect(asked[0]?.get("slowest")).toBe("true");
  fireEvent.change(await screen.findByRole("combobox", { name: "Cell" }), {
    target: { value: "region=sfo" },
  });
  await waitFor(() => expect(asked.at(-1)?.get("cell")).toBe("region=sfo"));
  fireEvent.click(screen.getByRole("button", { name: "grid" }));
  expect(await screen.findByText("No report of this cell was read yet")).toBeTruthy();
  await waitFor(() =>
    expect(router.state.location.href).toBe("/ns/default/tests/cart?tab=cases&cell=region%3Dsfo"),
  );
});

test("without a report there is the way to one", async () => {
  server.use(...page, get("/namespaces/default/tests/cart/grid", { ...grid, runs: [], cases: [] }));
  showApp("/ns/default/tests/cart?tab=cases");
  expect(await screen.findByText("No report of this test was read yet")).toBeTruthy();
});

test("any two versions are compared, and which ones is in the address", async () => {
  const version = (n: number) => ({
    version: n,
    changed_at: `2026-03-0${n}T00:00:00Z`,
    spec: { name: "cart", run_config: { container_image: `image:${n}` } },
  });
  server.use(
    get("/namespaces/default/tests/cart", testDef("cart", { version: 3 })),
    ...page,
    get("/namespaces/default/tests/cart/versions", { items: [version(3), version(2), version(1)] }),
    http.get("http://tstr.test/api/v1/namespaces/default/tests/cart/versions/:version", ({ params }) =>
      HttpResponse.json(version(Number(params.version))),
    ),
  );
  const { router } = showApp("/ns/default/tests/cart?tab=config");
  const from = await screen.findByRole("combobox", { name: "Compare from version" });
  expect((from as HTMLSelectElement).value).toBe("2");
  fireEvent.change(from, { target: { value: "1" } });
  await waitFor(() => expect(router.state.location.href).toBe("/ns/default/tests/cart?tab=config&a=1&b=3"));
  expect(await screen.findByText("What changed from version 1 to 3")).toBeTruthy();
  expect(
    ((await screen.findByRole("combobox", { name: "Compare from version" })) as HTMLSelectElement).value,
  ).toBe("1");
});
