import type { Schema } from "~/api/client";

type RunConfig = Schema["RunConfig"];

/** Which version a test had at an instant, of those that are kept; absent where that one is kept no more. */
export function versionAt(versions: Schema["TestVersion"][], at: string): number | undefined {
  const then = Date.parse(at);
  let found: Schema["TestVersion"] | undefined;
  for (const each of versions) {
    if (Date.parse(each.changed_at) <= then && each.version > (found?.version ?? 0)) found = each;
  }
  return found?.version;
}

/** Whether two configurations execute the same, whatever their environment: a trigger may have one of its own. */
export function sameConfig(a: RunConfig, b: RunConfig): boolean {
  return written({ ...a, env: undefined }) === written({ ...b, env: undefined });
}

/** A value as text that does not depend on the order of keys. */
function written(value: unknown): string {
  return JSON.stringify(value, (_, each) =>
    each && typeof each === "object" && !Array.isArray(each)
      ? Object.fromEntries(Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1)))
      : each,
  );
}
