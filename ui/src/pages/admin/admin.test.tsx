import { fireEvent, screen, waitFor, within } from "@testing-library/react";
import { HttpResponse, http } from "msw";
import { expect, test } from "vitest";
import type { Schema } from "~/api/client";
import { inBrowser } from "~/test/browser";
import { frame, get, identity } from "~/test/handlers";
import { server, showApp } from "~/test/render";

inBrowser();

const inDays = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString();

function token(name: string, more: Partial<Schema["Token"]> = {}): Schema["Token"] {
  return {
    id: `id-${name}`,
    name,
    scopes: ["data"],
    namespaces: ["shop", "team-.*"],
    created_at: "2026-01-01T00:00:00Z",
    expires_at: inDays(100),
    ...more,
  };
}

test("tokens that end within two weeks are told first, and replaced by one that is like them", async () => {
  const bodies: unknown[] = [];
  const old = token("ci", { expires_at: inDays(3), scopes: ["data", "runner"], issued_by: "id-ada" });
  server.use(
    ...frame,
    get("/tokens", {
      items: [token("ada"), old, token("gone", { expires_at: inDays(2), revoked_at: inDays(-1) })],
    }),
    http.post("http://tstr.test/api/v1/tokens", async ({ request }) => {
      bodies.push(await request.json());
      return HttpResponse.json({ token: "tstr_pat_2", record: token("ci") }, { status: 201 });
    }),
  );
  showApp("/ns/default/admin");
  const warning = (await screen.findByText("1 token that will end within two weeks")).closest("div")!;
  expect(within(warning).getAllByRole("listitem")).toHaveLength(1);
  expect(screen.getByText(/by ada$/)).toBeTruthy();
  fireEvent.click(within(warning).getByRole("button", { name: /replace ci/ }));
  const dialog = await screen.findByRole("dialog", { name: "Replace ci" });
  fireEvent.click(within(dialog).getByRole("button", { name: "Issue" }));
  expect(await screen.findByText("tstr_pat_2")).toBeTruthy();
  expect(screen.getByText(/ci as it was goes on working/)).toBeTruthy();
  expect(bodies).toEqual([
    { name: "ci", scopes: ["data", "runner"], namespaces: ["shop", "team-.*"], expires_in: "2160h" },
  ]);
});

test("whoever is signed in with a token that ends soon is told", async () => {
  const me = identity("admin");
  server.use(
    get("/identity", { ...me, token: { ...me.token, expires_at: inDays(2) } }),
    ...frame.slice(1),
    get("/tokens", { items: [] }),
  );
  showApp("/ns/default/admin");
  expect(await screen.findByText(/The token with which you are signed in, ada, ends/)).toBeTruthy();
});

test("a shorter retention says how many runs would go", async () => {
  const asked: URLSearchParams[] = [];
  server.use(
    ...frame,
    get<Schema["NamespaceInfoPage"]>("/namespaces", {
      items: [
        {
          name: "default",
          created_at: "2026-01-01T00:00:00Z",
          quotas: { max_queued: null, max_running: null, max_bytes: null },
          retention: { runs_days: 90, logs_days: 30 },
          tests: 3,
          usage: { runs: 5_000, log_bytes: 0, artifact_bytes: 0 },
        },
      ],
    }),
    http.get("http://tstr.test/api/v1/namespaces/default/summary", ({ request }) => {
      asked.push(new URL(request.url).searchParams);
      return HttpResponse.json({ totals: { counts: { runs: 1_234 } } });
    }),
  );
  showApp("/ns/default/admin?tab=namespaces");
  fireEvent.click(await screen.findByRole("button", { name: /Change default/ }));
  const dialog = await screen.findByRole("dialog", { name: "Change default" });
  const days = within(dialog).getByLabelText("Runs are kept for, in days");
  fireEvent.change(days, { target: { value: "30" } });
  expect(await within(dialog).findByText("As it is now, about 1,234 runs of 5,000 would go.")).toBeTruthy();
  const [query] = asked;
  const apart =
    Date.parse(query?.get("scheduled_before") ?? "") - Date.parse(query?.get("scheduled_after") ?? "");
  expect(apart).toBe(60 * 86_400_000);
  fireEvent.change(days, { target: { value: "90" } });
  await waitFor(() => expect(within(dialog).queryByText(/would go/)).toBeNull());
});
