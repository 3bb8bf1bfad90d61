import { basePath } from "~/lib/base";
import { makeStore } from "~/lib/store";

const PROBE_MS = 5_000;

/** Whether the server can be reached, as far as is known. */
export const reachable = makeStore(true);

let timer: ReturnType<typeof setTimeout> | undefined;
let isProbing = false;

/** What a gateway answers in the place of a server that is away. */
function isGatewayWord(status: number): boolean {
  return status === 502 || status === 503 || status === 504;
}

/**
 * `fetch`, which takes note of whether somebody answered. One request that fails says little, so the server is asked once
 * more before anybody is told; from then on it is asked until it answers.
 */
export async function fetchNoting(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  let response: Response;
  try {
    // Looked up at each call, so that a test can put another fetch in place.
    response = await globalThis.fetch(input, init);
  } catch (thrown) {
    if (thrown instanceof TypeError) void probe();
    throw thrown;
  }
  if (isGatewayWord(response.status)) void probe();
  else answered();
  return response;
}

function answered(): void {
  clearTimeout(timer);
  reachable.set(true);
}

/** Asks whether the server is there. */
export async function probe(): Promise<void> {
  if (isProbing) return;
  isProbing = true;
  clearTimeout(timer);
  try {
    const response = await globalThis.fetch(`${location.origin}${basePath()}/version`, { cache: "no-store" });
    if (isGatewayWord(response.status)) throw new TypeError("nobody behind the gateway");
    answered();
  } catch {
    reachable.set(false);
    timer = setTimeout(() => void probe(), PROBE_MS);
  } finally {
    isProbing = false;
  }
}

addEventListener("offline", () => void probe());
addEventListener("online", () => void probe());
