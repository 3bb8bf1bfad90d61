import { screen, within } from "@testing-library/react";
import { HttpResponse, http } from "msw";
import { expect, test } from "vitest";
import type { Schema } from "~/api/client";
import { inBrowser } from "~/test/browser";
import { get, problem, runOf, runPage } from "~/test/handlers";
import { server, showApp } from "~/test/render";

inBrowser();

/** The numbers of some runs of its cell. */
function series(
  values: (number | null)[],
  ids = values.map((_, index) => `old-${index}`),
): Schema["TestSeries"] {
  return {
    test_id: "id-cart",
    runs: ids.map((run_id) => ({ run_id, finished_at: "2026-02-01T00:00:00Z", result: "pass" })),
    series: [{ source: "result_data", name: "requests", values }],
    more: 0,
  };
}

const output = (data: string) =>
  http.get(`http://tstr.test/api/v1/runs/r1/output`, () =>
    HttpResponse.text(`{"attempt":1,"data":${data},"metrics":[],"summary_cut":false,"notes":[]}`),
  );

test("a number of the result data stands beside the median of the other runs of its cell", async () => {
  const asked: URL[] = [];
  server.use(
    ...runPage(runOf("r1", { cell: { region: "nyc" } })),
    output('{"requests": 120, "who": "me"}'),
    http.get(`http://tstr.test/api/v1/namespaces/default/tests/id-cart/series`, ({ request }) => {
      asked.push(new URL(request.url));
      return HttpResponse.json(series([90, 100, 100, 100, 110]));
    }),
  );
  showApp("/ns/default/runs/r1?tab=data");
  const row = (await screen.findByText("requests")).closest("tr")!;
  await within(row).findByText("median 100");
  expect(within(row).getByText("+20 %")).toBeTruthy();
  expect(within(row).getByRole("link", { name: "requests over the latest runs" }).getAttribute("href")).toBe(
    "/ns/default/tests/cart?tab=metrics",
  );
  expect(within(screen.getByText("who").closest("tr")!).queryByRole("link")).toBeNull();
  expect(asked[0]?.searchParams.get("cell")).toBe("region=nyc");
  expect(asked[0]?.searchParams.get("runs")).toBe("50");
});

test("digits past 2^53 stay what they are, with few other numbers and no median", async () => {
  server.use(
    ...runPage(runOf("r1")),
    output('{"requests": 9007199254740993}'),
    get("/namespaces/default/tests/id-cart/series", series([9007199254740992, null, 3])),
  );
  showApp("/ns/default/runs/r1?tab=data");
  expect(await screen.findByText("9007199254740993")).toBeTruthy();
  expect(await screen.findByText("2 other numbers; from 5 on there is a median")).toBeTruthy();
});

test("the result data stands there when the other runs cannot be read", async () => {
  server.use(
    ...runPage(runOf("r1")),
    output('{"requests": 7}'),
    get("/namespaces/default/tests/id-cart/series", () => problem(500, "internal", "The server failed")),
  );
  showApp("/ns/default/runs/r1?tab=data");
  expect(await screen.findByText("7")).toBeTruthy();
  expect(
    await screen.findByText(/The numbers of other runs could not be loaded: The server failed/),
  ).toBeTruthy();
});
