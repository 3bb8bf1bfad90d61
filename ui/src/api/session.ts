import { queryOptions } from "@tanstack/react-query";
import { client, raw, type Schema } from "./client";
import { asApiError } from "./problem";

/** Who is signed in: the token behind the session, and the namespaces that it sees. */
export type Identity = Schema["Identity"];

/** Who is signed in. It hardly changes, so it is asked for once and again after a sign-in. */
export const identityQuery = queryOptions({
  queryKey: ["identity"],
  queryFn: async ({ signal }): Promise<Identity> => {
    const { data } = await client.GET("/api/v1/identity", { signal });
    return data!;
  },
  staleTime: 5 * 60_000,
  meta: { live: false },
});

/** Exchanges a token, or the one-time code of a sign-in link, for the session cookie. */
export async function signIn(proof: { token: string } | { code: string }): Promise<void> {
  await raw("/session", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(proof),
  });
}

/** Says whose session the one-time code of a sign-in link opens. The code is not used up by that. */
export async function whoseCode(code: string): Promise<Identity> {
  const answer = await raw("/session/preview", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ code }),
  });
  return (await answer.json()) as Identity;
}

/** Says who is signed in in this browser; undefined when nobody is. */
export async function whoIsIn(): Promise<Identity | undefined> {
  try {
    const { data } = await client.GET("/api/v1/identity");
    return data;
  } catch (thrown) {
    if (asApiError(thrown).status === 401) return undefined;
    throw thrown;
  }
}

/** Ends the session on the server and takes its cookie away. */
export async function signOut(): Promise<void> {
  await raw("/session", { method: "DELETE" });
}

/** Whether a scope lets its bearer write tests and runs. */
export function mayControl(identity: Identity | undefined): boolean {
  return identity?.token.scopes.some((scope) => scope === "control" || scope === "admin") ?? false;
}

/** Whether a scope lets its bearer see and change tokens and namespaces. */
export function mayAdmin(identity: Identity | undefined): boolean {
  return identity?.token.scopes.includes("admin") ?? false;
}
