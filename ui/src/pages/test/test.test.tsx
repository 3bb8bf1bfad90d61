import { fireEvent, screen, waitFor } from "@testing-library/react";
import { expect, test } from "vitest";
import type { Schema } from "~/api/client";
import { inBrowser } from "~/test/browser";
import { frame, get, problem, testDef } from "~/test/handlers";
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
