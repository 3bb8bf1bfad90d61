import { useParams } from "@tanstack/react-router";
import { keptStore } from "~/lib/store";

/** The namespace that was looked at last, for a visit to `/`. */
export const lastNamespace = keptStore("tstr.namespace", "");

/** The namespace that the address names. */
export function useNs(): string {
  return useParams({ from: "/ns/$ns" }).ns;
}
