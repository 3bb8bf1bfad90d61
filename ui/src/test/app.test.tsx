import { act, fireEvent, screen, waitFor, within } from "@testing-library/react";
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

/** A server that knows the session, or not, and what it was asked. */
function sessions(isIn: boolean) {
  const state = { isIn, proofs: [] as unknown[], refused: 0, ended: Promise.resolve() };
  const unknown = () => {
    state.refused += 1;
    return problem(401, "unauthenticated", "No token");
  };
  const known = <T extends object>(path: string, body: T) => get(path, () => (state.isIn ? body : unknown()));
  server.use(
    ...frame.slice(1),
    http.get("http://tstr.test/version", () => HttpResponse.json({ version: "1" })),
    known("/identity", identity("data")),
    known("/namespaces/default/tests", { items: [testDef("cart"), testDef("signin")] }),
    known("/namespaces/default/states", { items: [] }),
    known("/namespaces/default/tests/signin", testDef("signin")),
    known("/namespaces/default/tests/signin/cells", { items: [] }),
    known("/namespaces/default/runs", { items: [] }),
    http.get("http://tstr.test/api/v1/namespaces/default/*", () =>
      problem(500, "internal", "The server failed"),
    ),
    http.post("http://tstr.test/api/v1/session", async ({ request }) => {
      const proof = (await request.json()) as { token?: string };
      state.proofs.push(proof);
      if (proof.token !== "tstr_pat_1") {
        return problem(401, "unauthenticated", "The token is not known", "It may have expired.");
      }
      state.isIn = true;
      return HttpResponse.json(identity("data"));
    }),
    http.delete("http://tstr.test/api/v1/session", async () => {
      state.isIn = false;
      await state.ended;
      return new HttpResponse(null, { status: 204 });
    }),
  );
  return state;
}

async function enter(token: string) {
  fireEvent.change(await screen.findByLabelText("Token"), { target: { value: token } });
  fireEvent.click(screen.getByRole("button", { name: "Sign in" }));
}

test("whoever is not signed in is sent to sign in, and comes back to the page with the token exchanged", async () => {
  const session = sessions(false);
  const { router } = showApp("/ns/default/tests?q=cart");
  await screen.findByRole("heading", { name: "Sign in to tstr" });
  expect(router.state.location.search).toEqual({ to: "/ns/default/tests?q=cart" });
  // Nothing of a page was asked for before.
  expect(session.refused).toBe(1);
  await enter("tstr_pat_1");
  expect(await screen.findByRole("link", { name: "cart" })).toBeTruthy();
  expect(router.state.location.href).toBe("/ns/default/tests?q=cart");
  expect(screen.getByRole<HTMLInputElement>("searchbox").value).toBe("cart");
  expect(session.proofs).toEqual([{ token: "tstr_pat_1" }]);
  // The token is nowhere in the browser.
  expect(JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])).not.toContain(
    "tstr_pat",
  );
  expect(document.body.innerHTML).not.toContain("tstr_pat_1");
});

test("a refused token is told, and the way in stays open", async () => {
  const session = sessions(false);
  const { router } = showApp("/signin");
  await enter("wrong");
  expect(await screen.findByText("It may have expired.")).toBeTruthy();
  expect([router.state.location.pathname, session.isIn]).toEqual(["/signin", false]);
  await enter("tstr_pat_1");
  await waitFor(() => expect(router.state.location.pathname).toBe("/ns/default"));
});

test.each(["//evil.example/", "https://evil.example/", "javascript:alert(1)", "\\\\evil.example"])(
  "signing in does not lead to %s",
  async (to) => {
    sessions(false);
    const { router } = showApp(`/signin?to=${encodeURIComponent(to)}`);
    await enter("tstr_pat_1");
    await waitFor(() => expect(router.state.location.pathname).toBe("/ns/default"));
    expect(location.host).toBe("tstr.test");
  },
);

test("a session that ended leads to the sign-in and back, also from a test that is called signin", async () => {
  const session = sessions(true);
  const { router, queries } = showApp("/ns/default/tests/signin");
  await screen.findByRole("heading", { level: 1, name: /signin/ });
  session.isIn = false;
  void queries.invalidateQueries();
  await waitFor(() => expect(router.state.location.pathname).toBe("/signin"));
  expect(router.state.location.search).toEqual({ to: "/ns/default/tests/signin" });
});

test("who signs out is not sent back to a page by what is asked meanwhile", async () => {
  const session = sessions(true);
  const { router, queries } = showApp("/ns/default/tests");
  await screen.findByRole("link", { name: "cart" });
  let answer = () => {};
  session.ended = new Promise((done) => {
    answer = done;
  });
  fireEvent.click(screen.getByRole("button", { name: "Sign out", hidden: true }));
  await waitFor(() => expect(session.isIn).toBe(false));
  // The session is over, and the page does not know it yet.
  await act(() => queries.refetchQueries());
  expect(session.refused).toBeGreaterThan(0);
  answer();
  await screen.findByRole("heading", { name: "Sign in to tstr" });
  expect(router.state.location.href).toBe("/signin");
  // One step, so Back does not lead to a sign-in that leads back to the page.
  expect(router.history.length).toBe(2);
  expect(queries.getQueryCache().getAll()).toEqual([]);
});

test("an instant in the address that is none is left out", async () => {
  sessions(true);
  const { router } = showApp("/ns/default/runs?after=yesterday&test=cart");
  expect(await screen.findByText(/No run is like that/)).toBeTruthy();
  expect(router.state.location.search).toEqual({ test: "cart" });
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
    get("/namespaces/default/tests/cart/versions", { items: [] }),
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
