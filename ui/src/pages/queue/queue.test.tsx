import { fireEvent, screen, waitFor, within } from "@testing-library/react";
import { HttpResponse, http } from "msw";
import { expect, test } from "vitest";
import type { Schema } from "~/api/client";
import { inBrowser } from "~/test/browser";
import { frame, get, problem, runOf } from "~/test/handlers";
import { server, showApp } from "~/test/render";

inBrowser();

const none = { count: 0, more: false };

function queued(id: string, more: Partial<Schema["Run"]> = {}): Schema["Run"] {
  const { result, leased_at, started_at, finished_at, ...run } = runOf(id, { attempt: 0, state: "queued" });
  return { ...run, labels: { env: "prod" }, ...more };
}

const page = [
  ...frame,
  get("/namespaces/default/runners", { items: [] }),
  get("/namespaces/default/summary", () => problem(500, "internal", "The server failed")),
];

const classes: Schema["QueueClass"][] = [
  {
    labels: { env: "prod" },
    depth: { count: 3, more: false },
    priorities: [
      { priority: "urgent", depth: { count: 1, more: false }, oldest: "2026-03-01T10:00:00Z" },
      { priority: "normal", depth: { count: 2, more: false }, oldest: "2026-03-01T09:00:00Z" },
    ],
    oldest: "2026-03-01T09:00:00Z",
    delayed: none,
    gated: none,
    live_runners: 2,
    known_runners: 3,
  },
];

const explanation: Schema["Explanation"] = {
  run_id: "q1",
  namespace: "default",
  test_name: "cart",
  labels: { env: "prod" },
  state: "queued",
  as_of: "2026-03-01T10:00:00Z",
  summary: "It waits: no live runner takes it",
  reasons: [],
  attempts: [],
  waiting: {
    since: "2026-03-01T09:00:00Z",
    counts: [
      { verdict: "rejected", key: "env", runners: 2 },
      { verdict: "at_capacity", runners: 130 },
    ],
    runners: [
      verdict("one", { verdict: "rejected", key: "env", value: "prod", pattern: "p.*" }),
      verdict("two", { verdict: "rejected", key: "env", value: "prod", pattern: "prod" }),
      verdict("three", { verdict: "at_capacity" }),
    ],
  },
};

function verdict(
  name: string,
  more: Partial<Schema["RunnerVerdict"]> & Pick<Schema["RunnerVerdict"], "verdict">,
): Schema["RunnerVerdict"] {
  return {
    runner_id: `id-${name}`,
    runner_name: name,
    state: "live",
    sentence: `${name} says why`,
    slots_used: 4,
    slots: 4,
    last_seen_at: "2026-03-01T10:00:00Z",
    ...more,
  };
}

test("each reason opens to the runners that have it, with the exact selector", async () => {
  server.use(
    ...page,
    get("/namespaces/default/queue", { items: classes }),
    get("/namespaces/default/runs", { items: [queued("q1")] }),
    get("/runs/q1/explain", explanation),
  );
  const { router } = showApp("/ns/default/queue");
  fireEvent.click(await screen.findByRole("button", { name: "Show its runs, and why they wait" }));
  // Which class is open is in the address, so that a link shows another person the same.
  await waitFor(() => expect(router.state.location.href).toContain("class=env%3Dprod"));
  const reason = (await screen.findByText("2 reject label env")).closest("details")!;
  expect(within(reason).getByRole("link", { name: "one" }).getAttribute("href")).toBe(
    "/ns/default/runners/id-one",
  );
  expect(within(reason).getByText("reject env=p.*")).toBeTruthy();
  expect(within(reason).queryByText("three")).toBeNull();
  const full = screen.getByText("130 at capacity").closest("details")!;
  expect(within(full).getByText("and 129 more runners")).toBeTruthy();
});

test("priorities are told with the oldest of each, and when the queue was looked at", async () => {
  server.use(...page, get("/namespaces/default/queue", { items: classes }));
  showApp("/ns/default/queue");
  expect((await screen.findByText(/1 urgent, since/)).textContent).toMatch(/1 urgent, since .* ago/);
  expect(screen.getByText(/Looked at/).textContent).toContain("Looked at now.");
});

test("where nothing waits the last wait is told", async () => {
  server.use(
    ...page,
    get("/namespaces/default/queue", { items: [] }),
    get("/namespaces/default/runs", { items: [runOf("r1")] }),
  );
  showApp("/ns/default/queue");
  expect(await screen.findByText("Nothing waits")).toBeTruthy();
  const wait = await screen.findByRole("link", { name: "4.0 s" });
  expect(wait.getAttribute("href")).toBe("/ns/default/runs/r1");
});

test("what is searched for is cancelled after its number is typed, and what failed is told run by run", async () => {
  const cancelled: string[] = [];
  server.use(
    ...page,
    get("/namespaces/default/queue", { items: classes }),
    get("/namespaces/default/runs", {
      items: [queued("q1"), queued("q2", { test_name: "cart-slow" }), queued("q3", { test_name: "login" })],
    }),
    http.get("http://tstr.test/api/v1/runs/:run/explain", () => HttpResponse.json(explanation)),
    http.post("http://tstr.test/api/v1/runs/:run/cancel", ({ params }) => {
      cancelled.push(String(params.run));
      return params.run === "q1"
        ? problem(409, "conflict", "Conflict", "the run has finished")
        : HttpResponse.json(queued("q2"), { status: 202 });
    }),
  );
  showApp("/ns/default/queue?class=env%3Dprod&q=cart");
  expect(await screen.findByText("2 runs of 3")).toBeTruthy();
  fireEvent.click(screen.getByRole("button", { name: "Cancel these 2…" }));
  const dialog = await screen.findByRole("dialog", { name: "Cancel 2 runs" });
  const submit = within(dialog).getByRole("button", { name: /Cancel them/ });
  fireEvent.click(submit);
  expect(cancelled).toEqual([]);
  fireEvent.change(within(dialog).getByLabelText("Type 2 to cancel them"), { target: { value: "2" } });
  fireEvent.click(submit);
  expect(await within(dialog).findByText("the run has finished")).toBeTruthy();
  expect(within(dialog).getByRole("status").textContent).toBe("1 run cancelled, 1 failed.");
  expect(cancelled).toEqual(["q1", "q2"]);
});
