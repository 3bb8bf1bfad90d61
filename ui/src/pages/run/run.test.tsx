import { fireEvent, screen, waitFor, within } from "@testing-library/react";
import { HttpResponse, http } from "msw";
import { expect, test } from "vitest";
import type { Schema } from "~/api/client";
import { inBrowser } from "~/test/browser";
import { get, runOf, runPage, testDef } from "~/test/handlers";
import { server, showApp } from "~/test/render";

inBrowser();

const BASE = "http://tstr.test/api/v1";

const versions = (...list: [version: number, changed_at: string][]) =>
  get("/namespaces/default/tests/id-cart/versions", {
    items: list.map(([version, changed_at]) => ({ version, changed_at })),
  });

test("a run says which version it executed, which one the test has now, and leads to what changed", async () => {
  server.use(
    versions([3, "2026-03-05T00:00:00Z"], [2, "2026-02-01T00:00:00Z"], [1, "2026-01-01T00:00:00Z"]),
    ...runPage(runOf("r1"), testDef("cart", { version: 3 })),
  );
  showApp("/ns/default/runs/r1?tab=spec");
  const link = await screen.findByRole("link", { name: "what changed" });
  expect(link.getAttribute("href")).toBe("/ns/default/tests/cart?tab=config&a=2&b=3");
  expect(screen.getByRole("link", { name: "v2" })).toBeTruthy();
});

test("a retry has the configuration of the run it repeats, whatever the time says", async () => {
  const run = runOf("r1", { trigger: "retry", created_at: "2026-04-01T00:00:00Z" });
  const def = testDef("cart", {
    version: 2,
    run_config: { ...run.run_config, container_image: "image:2" },
  });
  server.use(versions([2, "2026-03-05T00:00:00Z"], [1, "2026-01-01T00:00:00Z"]), ...runPage(run, def));
  showApp("/ns/default/runs/r1?tab=spec");
  expect(await screen.findByText("not that of v2, which the test has now")).toBeTruthy();
});

test("a run is made again as its test is now, for its cell alone", async () => {
  const run = runOf("r1", { cell: { region: "nyc" }, result: "fail" });
  const bodies: unknown[] = [];
  server.use(
    ...runPage(run, testDef("cart", { version: 7 })),
    get("/runs/r2", runOf("r2")),
    http.post(`${BASE}/namespaces/default/tests/id-cart/runs`, async ({ request }) => {
      bodies.push(await request.json());
      return HttpResponse.json({ matrix_id: "m2", runs: [runOf("r2")] }, { status: 201 });
    }),
  );
  const { router } = showApp("/ns/default/runs/r1?tab=spec");
  fireEvent.click(await screen.findByRole("button", { name: "Retry with…" }));
  const dialog = await screen.findByRole("dialog", { name: "Retry cart" });
  const current = within(dialog).getByRole("radio", { name: /This cell, as the test is now/ });
  await waitFor(() => expect(current).toHaveProperty("disabled", false));
  // It was made alone, so there are no failed cells to choose.
  expect(within(dialog).getByRole("radio", { name: /failed cells/ })).toHaveProperty("disabled", true);
  fireEvent.click(current);
  fireEvent.click(within(dialog).getByRole("button", { name: "Retry" }));
  await waitFor(() => expect(router.state.location.pathname).toBe("/ns/default/runs/r2"));
  expect(bodies).toEqual([{ labels: {}, env: {}, matrix: { region: "nyc" } }]);
});

test("the failed cells of a matrix are made again, with their failed cases named", async () => {
  const run = runOf("r1", {
    result: "fail",
    matrix_id: "m1",
    cases: {
      cases: 4,
      passed: 2,
      failed: 2,
      errors: 0,
      skipped: 0,
      flaky: 0,
      muted: 0,
    } as Schema["CaseCounts"],
  });
  const bodies: unknown[] = [];
  server.use(
    get("/namespaces/default/runs", { items: [run, runOf("r3", { result: "error" }), runOf("r4")] }),
    ...runPage(run),
    get("/runs/r5", runOf("r5")),
    http.post(`${BASE}/namespaces/default/matrices/m1/retry`, async ({ request }) => {
      bodies.push(await request.json());
      return HttpResponse.json({ matrix_id: "m2", runs: [runOf("r5"), runOf("r6")] }, { status: 201 });
    }),
  );
  const { router } = showApp("/ns/default/runs/r1?tab=spec");
  fireEvent.click(await screen.findByRole("button", { name: "Retry with…" }));
  const dialog = await screen.findByRole("dialog", { name: "Retry cart" });
  fireEvent.click(await within(dialog).findByRole("radio", { name: /The failed cells of its matrix \(2\)/ }));
  fireEvent.click(within(dialog).getByRole("checkbox", { name: /Name the failed cases/ }));
  fireEvent.click(within(dialog).getByRole("button", { name: "Retry" }));
  await waitFor(() => expect(router.state.location.pathname).toBe("/ns/default/runs/r5"));
  expect(bodies).toEqual([{ only_failed: true, failed_cases: true }]);
});
