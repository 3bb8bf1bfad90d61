import { fireEvent, screen, waitFor } from "@testing-library/react";
import { HttpResponse, http } from "msw";
import { expect, test } from "vitest";
import { inBrowser } from "~/test/browser";
import { frame, get, runOf } from "~/test/handlers";
import { server, showApp } from "~/test/render";

inBrowser();

function page(asked: URLSearchParams[]) {
  return [
    ...frame,
    get("/namespaces/default/states", { items: [] }),
    http.get("http://tstr.test/api/v1/namespaces/default/runs", ({ request }) => {
      asked.push(new URL(request.url).searchParams);
      return HttpResponse.json({ items: [runOf("r1")] });
    }),
  ];
}

test("a range that ends now is in the address as such, and a second press takes it away", async () => {
  const asked: URLSearchParams[] = [];
  server.use(...page(asked));
  const { router } = showApp("/ns/default/runs?result=fail");
  fireEvent.click(await screen.findByRole("button", { name: "1h" }));
  await waitFor(() => expect(router.state.location.href).toBe("/ns/default/runs?result=fail&range=1h"));
  await waitFor(() => expect(asked.at(-1)?.has("scheduled_after")).toBe(true));
  const hour = Date.now() - Date.parse(asked.at(-1)?.get("scheduled_after") ?? "");
  expect(hour).toBeGreaterThanOrEqual(3_600_000);
  expect(hour).toBeLessThan(3_600_000 + 120_000);
  const on = await screen.findByRole("button", { name: "1h", pressed: true });
  fireEvent.click(on);
  await waitFor(() => expect(router.state.location.href).toBe("/ns/default/runs?result=fail"));
});

test("a span takes the place of a range, and one that cannot be read is none", async () => {
  const asked: URLSearchParams[] = [];
  server.use(...page(asked));
  const { router } = showApp("/ns/default/runs?range=7d&after=2026-02-01T12:00:00Z&before=someday");
  expect(await screen.findByText("2026-02-01 12:00:00 UTC")).toBeTruthy();
  await waitFor(() => expect(asked.at(-1)?.get("scheduled_after")).toBe("2026-02-01T12:00:00.000Z"));
  expect(asked.at(-1)?.has("scheduled_before")).toBe(false);
  fireEvent.click(screen.getByRole("button", { name: "Take the span of time away" }));
  await waitFor(() => expect(router.state.location.href).toBe("/ns/default/runs"));
});
