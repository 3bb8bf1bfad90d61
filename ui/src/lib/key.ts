/** A new idempotency key. `crypto.randomUUID` is there only in secure contexts, and tstr is often at http://host. */
export function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
