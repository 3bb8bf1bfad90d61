import { useCallback, useEffect, useMemo, useState } from "react";
import { useStore } from "~/lib/store";
import type { LogClient } from "./client";
import { expression, type Query } from "./search";
import { firstAtLeast } from "./view";

const TYPING_MS = 150;

/** Searching a log: what for, what has been found, and which of it is looked at. */
export function useSearch(
  client: LogClient,
  topLine: () => number,
  show: (line: number) => void,
  streams: number,
) {
  const [query, setQuery] = useState<Query>({ text: "", isRegex: false, isCaseSensitive: false });
  const [at, setAt] = useState(-1);
  const found = useStore(client.found);
  const { pattern, mistake } = useMemo(() => compile(query), [query]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: other streams are another search
  useEffect(() => {
    setAt(-1);
    if (!pattern) {
      client.find(undefined);
      return;
    }
    const timer = setTimeout(() => client.find(query), TYPING_MS);
    return () => clearTimeout(timer);
  }, [client, query, pattern, streams]);

  const { lines } = found;
  const go = useCallback(
    (step: 1 | -1) => {
      const { lines: all } = client.found.get();
      if (all.length === 0) return;
      const from = at >= 0 ? at + step : nearest(all, topLine(), step);
      const next = (from + all.length) % all.length;
      setAt(next);
      show(all[next]!);
    },
    [client, at, topLine, show],
  );

  // The first match from where the reader is comes into sight by itself.
  const hasFound = pattern !== undefined && at < 0 && lines.length > 0;
  const isReady = hasFound && (found.isDone || lines.at(-1)! >= topLine());
  useEffect(() => {
    if (isReady) go(1);
  }, [isReady, go]);

  return {
    query,
    setQuery,
    pattern,
    mistake: mistake ?? found.error,
    count: lines.length,
    isDone: found.isDone,
    /** Which match is looked at, counted from 0; -1 for none. */
    at: at < lines.length ? at : -1,
    line: at >= 0 ? lines[at] : undefined,
    go,
  };
}

/** What `useSearch` gives. */
export type Search = ReturnType<typeof useSearch>;

function compile(query: Query): { pattern?: RegExp; mistake?: string } {
  if (query.text === "") return {};
  try {
    return { pattern: expression(query) };
  } catch (thrown) {
    const text = thrown instanceof Error ? thrown.message : String(thrown);
    return { mistake: text.replace(/^Invalid regular expression: /, "") };
  }
}

function nearest(lines: readonly number[], from: number, step: 1 | -1): number {
  const next = firstAtLeast(lines, lines.length, from);
  return step === 1 ? (next < lines.length ? next : 0) : next - 1;
}
