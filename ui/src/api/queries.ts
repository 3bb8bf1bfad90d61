import { api } from "./client";

// Queries that several pages share: the same key means one request and one answer for all of them.

/** How all tests of a namespace are, with the ends of their latest runs. */
export const statesQuery = (namespace: string) =>
  api.queryOptions(
    "get",
    "/api/v1/namespaces/{namespace}/states",
    { params: { path: { namespace } } },
    { staleTime: 10_000 },
  );

/** What waits, by labels. */
export const queueQuery = (namespace: string) =>
  api.queryOptions("get", "/api/v1/namespaces/{namespace}/queue", {
    params: { path: { namespace }, query: { page_size: 200 } },
  });

/** The runners that take runs of a namespace. */
export const runnersQuery = (namespace: string) =>
  api.queryOptions("get", "/api/v1/namespaces/{namespace}/runners", {
    params: { path: { namespace }, query: { page_size: 500 } },
  });

/** A test by its name or id. */
export const testQuery = (namespace: string, test: string) =>
  api.queryOptions("get", "/api/v1/namespaces/{namespace}/tests/{test}", {
    params: { path: { namespace, test } },
  });

/** A run with its attempts. */
export const runQuery = (run: string) =>
  api.queryOptions("get", "/api/v1/runs/{run}", { params: { path: { run } } });

/** How a namespace is at one look: what fails, what waits, who executes. It costs the same however large it is. */
export const dashboardQuery = (namespace: string) =>
  api.queryOptions("get", "/api/v1/namespaces/{namespace}/dashboard", { params: { path: { namespace } } });
