import { fireEvent, screen, waitFor } from "@testing-library/react";
import { HttpResponse, http } from "msw";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import type { Schema } from "~/api/client";
import { frame, get, identity, problem } from "./handlers";
import { server, showApp, stubBrowser } from "./render";

const SESSION = "http://tstr.test/api/v1/session";

beforeAll(() => {
  stubBrowser();
  server.listen({ onUnhandledRequest: "error" });
});
beforeEach(() => history.replaceState(null, "", "/signin#code=tstr_code_1"));
afterEach(() => {
  server.resetHandlers();
  history.replaceState(null, "", "/");
});
afterAll(() => server.close());

const named = (id: string, name: string): Schema["Identity"] => {
  const all = identity("control");
  return { ...all, token: { ...all.token, id, name } };
};

/** Answers for a link of somebody; returns what was posted to open a session. */
function linkOf(of: Schema["Identity"], signedIn: Schema["Identity"] | undefined) {
  const posted: unknown[] = [];
  let now = signedIn;
  server.use(
    ...frame.slice(1),
    get("/identity", () => now ?? problem(401, "unauthenticated", "No token")),
    http.post(`${SESSION}/preview`, async ({ request }) => {
      expect(await request.json()).toEqual({ code: "tstr_code_1" });
      return HttpResponse.json(of);
    }),
    http.post(SESSION, async ({ request }) => {
      posted.push(await request.json());
      now = of;
      return HttpResponse.json(of);
    }),
  );
  return posted;
}

test("a link says whose session it opens, and opens it when it is told to", async () => {
  const posted = linkOf(named("t2", "mallory"), undefined);
  const { router } = showApp("/signin");
  const go = await screen.findByRole("button", { name: "Sign in as mallory" });
  expect(location.hash).toBe("");
  expect(screen.queryByRole("alert")).toBeNull();
  expect(posted).toEqual([]);
  fireEvent.click(go);
  await waitFor(() => expect(router.state.location.pathname).not.toBe("/signin"));
  expect(posted).toEqual([{ code: "tstr_code_1" }]);
});

test("whoever is somebody else already is told so, and may stay", async () => {
  const posted = linkOf(named("t2", "mallory"), named("t1", "ada"));
  const { router } = showApp("/signin");
  expect((await screen.findByRole("alert")).textContent).toContain("ada");
  fireEvent.click(screen.getByRole("button", { name: "Stay as I am" }));
  await waitFor(() => expect(router.state.location.pathname).not.toBe("/signin"));
  expect(posted).toEqual([]);
});

test("a link that is over says so, and a token can be given instead", async () => {
  server.use(
    get("/identity", () => problem(401, "unauthenticated", "No token")),
    http.post(`${SESSION}/preview`, () =>
      problem(401, "unauthenticated", "Refused", "The code was used already."),
    ),
  );
  showApp("/signin");
  expect(await screen.findByText("The code was used already.")).toBeTruthy();
  expect(screen.getByLabelText("Token")).toBeTruthy();
});
