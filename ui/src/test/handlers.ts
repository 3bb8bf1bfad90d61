import { HttpResponse, http, type JsonBodyType } from "msw";
import type { Schema } from "~/api/client";

const BASE = "http://tstr.test/api/v1";

/** A handler of a GET below `/api/v1`, typed by the schema. */
export function get<T extends object>(path: string, body: T | (() => T | HttpResponse<JsonBodyType>)) {
  return http.get(`${BASE}${path}`, () => {
    const answer = typeof body === "function" ? body() : body;
    return answer instanceof HttpResponse ? answer : HttpResponse.json(answer);
  });
}

/** A failed answer. */
export function problem(status: number, code: Schema["Problem"]["code"], title: string, detail = "") {
  return HttpResponse.json(
    {
      type: "about:blank",
      title,
      status,
      detail,
      code,
      retryable: false,
      trace_id: "trace-1",
    } satisfies Schema["Problem"],
    { status, headers: { "Content-Type": "application/problem+json" } },
  );
}

/** Who is signed in, with these scopes. */
export function identity(...scopes: Schema["Scope"][]): Schema["Identity"] {
  return {
    namespaces: ["default", "other"],
    token: {
      id: "t1",
      name: "ada",
      scopes,
      namespaces: [".*"],
      created_at: "2026-01-01T00:00:00Z",
      expires_at: "2027-01-01T00:00:00Z",
    },
  };
}

/** A test of which nothing special is said. */
export function testDef(name: string, more: Partial<Schema["TestDef"]> = {}): Schema["TestDef"] {
  return {
    id: `id-${name}`,
    name,
    namespace: "default",
    version: 1,
    created_at: "2026-01-01T00:00:00Z",
    updated_at: "2026-01-01T00:00:00Z",
    labels: {},
    annotations: {},
    run_config: {
      container_image: "image:1",
      timeout: "600s",
      grace: "10s",
      resources: { memory: "512MiB", cpus: 1, pids: 256 },
      network: "none",
      pull: "missing",
    },
    catch_up: "last",
    retry: { on_fail: 0, on_infrastructure: 1 },
    limits: { log: "64MiB", artifacts: "256MiB" },
    artifacts: { paths: [], report: "auto" },
    at_most_once: false,
    priority: "normal",
    paused: false,
    ...more,
  };
}

/** A run that has passed, of which nothing special is said. */
export function runOf(id: string, more: Partial<Schema["Run"]> = {}): Schema["Run"] {
  return {
    id,
    namespace: "default",
    test_id: "id-cart",
    test_name: "cart",
    matrix_id: `m-${id}`,
    cell: {},
    labels: {},
    annotations: {},
    run_config: testDef("cart").run_config,
    state: "finished",
    result: "pass",
    flaky: false,
    cancel_requested: false,
    attempt: 1,
    attempts: [],
    priority: "normal",
    trigger: "schedule",
    scheduled_at: "2026-03-01T10:00:00Z",
    created_at: "2026-03-01T10:00:00Z",
    leased_at: "2026-03-01T10:00:04Z",
    started_at: "2026-03-01T10:00:05Z",
    finished_at: "2026-03-01T10:01:00Z",
    log: { status: "complete", bytes: 0, dropped_bytes: 0 },
    artifacts: { files: 0, bytes: 0 },
    ...more,
  };
}

/** How a namespace is in which nothing is wrong. */
export function dashboardOf(more: Partial<Schema["Dashboard"]> = {}): Schema["Dashboard"] {
  return {
    as_of: "2026-03-01T10:00:00Z",
    tests: { total: 20, failing: 0, newly_failing: 0, flaky: 0, slower: 0 },
    newly_failing: [],
    flaky: [],
    slower: [],
    queue: { depth: { count: 0, more: false }, held: 0, stranded: 0 },
    runners: { total: 1, online: 1, draining: 0, slots: 4, slots_used: 1 },
    ...more,
  };
}

/** What the frame asks for on every page. */
export const frame = [
  get("/identity", identity("admin")),
  get("/namespaces/default/dashboard", () => problem(500, "internal", "The server failed")),
];

/** What the page of a run asks for, for a run and its test. */
export function runPage(run: Schema["Run"], def = testDef("cart")) {
  return [
    ...frame,
    get(`/runs/${run.id}`, run),
    get("/namespaces/default/tests/id-cart", def),
    get("/namespaces/default/tests/id-cart/versions", {
      items: [{ version: 1, changed_at: "2026-01-01T00:00:00Z" }],
    }),
    get("/namespaces/default/tests/id-cart/cells", { items: [] }),
    get(`/runs/${run.id}/changes`, () => problem(404, "not_found", "None")),
    get("/namespaces/default/runs", { items: [] }),
  ];
}
