import type { Schema } from "~/api/client";

type Token = Pick<Schema["Token"], "expires_at" | "revoked_at">;

/** A token is told of this long before it ends: replacing it takes somebody's time. */
export const WARN_MS = 14 * 86_400_000;

/** Where the life of a token stands. */
export type Life = "revoked" | "expired" | "soon" | "long";

/** Where the life of a token stands at a time. */
export function lifeOf(token: Token, nowMs: number): Life {
  if (token.revoked_at !== undefined) return "revoked";
  const left = Date.parse(token.expires_at) - nowMs;
  return left <= 0 ? "expired" : left < WARN_MS ? "soon" : "long";
}

/** The tokens that end soon, the first one first. */
export function endingSoon<T extends Token>(tokens: readonly T[], nowMs: number): T[] {
  return tokens
    .filter((token) => lifeOf(token, nowMs) === "soon")
    .sort((a, b) => Date.parse(a.expires_at) - Date.parse(b.expires_at));
}
