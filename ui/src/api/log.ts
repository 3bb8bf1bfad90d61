import type { ApiError } from "./problem";
import { asApiError, problemOf } from "./problem";
import type { components } from "./schema";

// Used by the worker of the log viewer, where there is no document: so addresses come in whole, and nothing of the typed
// client is loaded.

/** A piece of a log. */
export type LogEntry = components["schemas"]["LogEntry"];

async function get(url: string, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await globalThis.fetch(url, init);
  } catch (thrown) {
    throw isAbort(thrown) ? thrown : asApiError(thrown);
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

/** Whether somebody stopped a request: no failure. */
export function isAbort(thrown: unknown): boolean {
  return thrown instanceof Error && thrown.name === "AbortError";
}

/**
 * Hands over the entries behind `after`, each as soon as it is there. An answer that breaks off throws an `ApiError`, after
 * all that came whole has been handed over.
 */
export async function readEntries(
  url: string,
  after: number | undefined,
  take: (entry: LogEntry) => void | Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const address = new URL(url);
  if (after !== undefined) address.searchParams.set("after", String(after));
  const response = await get(address.href, { headers: { Accept: "application/x-ndjson" }, signal });
  const decoder = new TextDecoder();
  let open = "";
  for await (const chunk of chunks(response)) {
    const text = open + decoder.decode(chunk, { stream: true });
    let from = 0;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", from)) {
      if (end > from) {
        const waits = take(JSON.parse(text.slice(from, end)) as LogEntry);
        if (waits) await waits;
      }
      from = end + 1;
    }
    open = text.slice(from);
  }
  // A last piece without its end was broken off, whatever the connection says; it is asked for again.
}

/** Hands over the bytes of a log from `from` on. */
export async function readBytes(
  url: string,
  from: number,
  take: (bytes: Uint8Array) => void | Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  // From a byte that is there already: a range behind the end is refused with 416, which browsers write into their console
  // as an error.
  const begin = Math.max(0, from - 1);
  const response = await get(url, {
    headers: { Accept: "text/plain", Range: `bytes=${begin}-` },
    signal,
  });
  // A server, or a proxy, that does not know ranges answers 200 with everything.
  let skip = response.status === 206 ? from - begin : from;
  for await (const chunk of chunks(response)) {
    const part = chunk.subarray(Math.min(skip, chunk.length));
    skip -= chunk.length - part.length;
    if (part.length > 0) {
      const waits = take(part);
      if (waits) await waits;
    }
  }
}

async function* chunks(response: Response): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  if (!reader) return;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } catch (thrown) {
    throw isAbort(thrown) ? thrown : (asApiError(thrown) satisfies ApiError);
  } finally {
    reader.releaseLock();
  }
}

/** The bytes of an entry. */
export function bytesOf(entry: LogEntry, encoder: TextEncoder): Uint8Array {
  if (entry.data !== undefined) return encoder.encode(entry.data);
  const text = atob(entry.data_base64 ?? "");
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}
