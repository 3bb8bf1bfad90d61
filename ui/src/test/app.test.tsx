import { fireEvent, screen, waitFor, within } from "@testing-library/react";
import { HttpResponse, http } from "msw";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { Schema } from "~/api/client";
import { frame, get, identity, problem, testDef } from "./handlers";
import { server, showApp, stubBrowser } from "./render";

beforeAll(() => {
  stubBrowser();
  server.listen({ onUnhandledRequest: "error" });
});
afterEach(() => server.resetHandlers());
afterAll(() => server.close());

const cell = (strip: string, status: Schema["Status"] = "healthy"): Schema["CellStrip"] => ({
  cell: {},
  strip,
  status,
});

test("whoever is not signed in is sent to sign in, and comes back with the token exchanged", async () => {
  let isIn = false;
  server.use(
    ...frame.slice(1),
    get("/identity", () => (isIn ? identity("data") : problem(401, "unauthenticated", "No token"))),
    get("/namespaces/default/tests", { items: [] }),
    get("/namespaces/default/states", { items: [] }),
    get("/namespaces/default/summary", () => problem(500, "internal", "The server failed")),
    http.post("http://tstr.test/api/v1/session", async ({ request }) => {
      expect(await request.json()).toEqual({ token: "tstr_pat_1" });
      isIn = true;
      return HttpResponse.json(identity("data"));
    }),
  );
  const { router } = showApp("/ns/default/tests?q=cart");
  fireEvent.change(await screen.findByLabelText("Token"), { target: { value: "tstr_pat_1" } });
  fireEvent.click(screen.getByRole("button", { name: "Sign in" }));
  await waitFor(() => expect(router.state.location.href).toBe("/ns/default/tests?q=cart"));
});

test("a refused token is told, and an address of another site is not followed", async () => {
  server.use(
    get("/identity", () => problem(401, "unauthenticated", "No token")),
    http.post("http://tstr.test/api/v1/session", () =>
      problem(401, "unauthenticated", "The token is not known", "It may have expired."),
    ),
  );
  showApp("/signin?to=//evil.example/");
  fireEvent.change(await screen.findByLabelText("Token"), { target: { value: "wrong" } });
  fireEvent.click(screen.getByRole("button", { name: "Sign in" }));
  expect(await screen.findByText("It may have expired.")).toBeTruthy();
});

test("tests are listed with the failing ones first, and the strip is moved by keys", async () => {
  server.use(
    ...frame,
    get("/namespaces/default/states", {
      items: [
        { test_id: "id-good", name: "good", status: "healthy", cells: [cell("ppp")] },
        { test_id: "id-bad", name: "bad", status: "broken", cells: [cell("pff", "broken")] },
      ],
    } satisfies Schema["TestStatePage"]),
    get("/namespaces/default/tests", { items: [testDef("good"), testDef("bad")] }),
    get("/namespaces/default/runs", { items: [] }),
    get("/namespaces/default/summary", () => problem(500, "internal", "The server failed")),
  );
  // Only rows in sight are drawn, and in jsdom nothing has a size.
  Object.defineProperty(window, "innerHeight", { value: 800, configurable: true });
  showApp("/ns/default/tests");
  const table = await screen.findByRole("table", { name: "Tests" });
  const links = await within(table).findAllByRole("link");
  expect(links.map((link) => link.textContent)).toEqual(["bad", "good"]);
  const slider = screen.getByRole("slider", { name: "Latest runs of bad" });
  expect(slider.getAttribute("aria-valuetext")).toBe("run 3 of 3: fail");
  fireEvent.keyDown(slider, { key: "Home" });
  expect(slider.getAttribute("aria-valuetext")).toBe("run 1 of 3: pass");
});

test("a failed part says what failed, with its trace id, and the rest stands", async () => {
  server.use(
    ...frame,
    get("/namespaces/default/runners", () => problem(500, "internal", "The server failed", "See its log.")),
    get("/namespaces/default/summary", () => problem(500, "internal", "The server failed")),
    http.get("http://tstr.test/version", () =>
      HttpResponse.json({ version: "1", api: "v1", zone_tables: "x" }),
    ),
  );
  showApp("/ns/default/runners");
  const alert = await screen.findByRole("alert");
  expect(alert.textContent).toContain("The runners: The server failed");
  expect(alert.textContent).toContain("trace-1");
  expect(screen.getByRole("heading", { level: 1 }).textContent).toBe("Runners");
});

test("who may only read finds the actions off, with the reason", async () => {
  server.use(
    ...frame.slice(1),
    get("/identity", identity("data")),
    get("/namespaces/default/tests/cart", testDef("cart")),
    get("/namespaces/default/tests/cart/cells", { items: [] }),
    get("/namespaces/default/summary", () => problem(404, "not_found", "None")),
    get("/namespaces/default/runs", { items: [] }),
  );
  showApp("/ns/default/tests/cart");
  const button = await screen.findByRole("button", { name: /Run now/ });
  await waitFor(() => expect(button.getAttribute("title")).toBe("This needs a token with the scope control"));
  fireEvent.click(button);
  expect(screen.queryByText("Not run")).toBeNull();
});
