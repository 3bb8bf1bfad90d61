import createFetchClient from "openapi-fetch";
import createQueryClient from "openapi-react-query";
import { basePath } from "~/lib/base";
import { asApiError, problemOf } from "./problem";
import { fetchNoting } from "./reach";
import type { components, paths } from "./schema";

/** The schemas of the API by name: `Schema["Run"]`. */
export type Schema = components["schemas"];

/** Where the server is, with the base path. Absolute: without a browser around it, a request takes no other address. */
const SERVER = location.origin + basePath();

/**
 * The typed client, the only thing that calls `fetch` for JSON. A failed answer is thrown as an `ApiError`. It sends no
 * credential: the browser adds the session cookie, which scripts cannot read.
 */
export const client = createFetchClient<paths>({
  baseUrl: SERVER,
  fetch: (request) => fetchNoting(request),
});

client.use({
  async onResponse({ response }) {
    if (!response.ok) throw await problemOf(response);
  },
  onError({ error }) {
    // An abort is no failure: whoever asked went away.
    if (error instanceof DOMException && error.name === "AbortError") return undefined;
    return asApiError(error);
  },
});

/** Hooks and query options over the client: `api.queryOptions("get", "/api/v1/runs/{run}", …)`. */
export const api = createQueryClient(client);

/** The address of something below `/api/v1` for links, images and requests that are not JSON. */
export function apiUrl(path: string, query: Record<string, string | number | undefined> = {}): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined) search.set(key, String(value));
  }
  const text = search.toString();
  return `${basePath()}/api/v1${path}${text ? `?${text}` : ""}`;
}

/** Fetches something below `/api/v1` that is not JSON, or that the schema does not know. Throws an `ApiError`. */
export async function raw(path: string, init?: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetchNoting(`${SERVER}/api/v1${path}`, init);
  } catch (thrown) {
    if (thrown instanceof DOMException && thrown.name === "AbortError") throw thrown;
    throw asApiError(thrown);
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}
