import type { Schema } from "~/api/client";

/** Where a case stands: `shop > Cart`, its suites and class, without its name. */
export function casePath(key: Schema["CaseKey"]): string {
  return [...(key.suite ?? []), key.classname].filter(Boolean).join(" › ");
}

/** A case in one line. */
export function caseText(key: Schema["CaseKey"]): string {
  return [casePath(key), key.name].filter(Boolean).join(" › ");
}
