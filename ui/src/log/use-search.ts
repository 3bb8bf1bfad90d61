import { useCallback, useEffect, useState } from "react";
import { useStore } from "~/lib/store";
import type { LogClient } from "./client";
import type { Query } from "./search";
import { firstAtLeast } from "./view";

const TYPING_MS = 150;

/** What searching a log needs of the rest. */
export interface Searching {
  client: LogClient;
  /** The line that stands at the top. */
  topLine: () => number;
  /** Brings a line into sight, or says that none is looked at any more. */
  onShow: (line: number | undefined) => void;
  /** Which streams are to be seen. */
  streams: number;
}

/** Searching a log: what for, what has been found, and which of it is looked at. */
export function useSearch({ client, topLine, onShow, streams }: Searching) {
  const [query, setQuery] = useState<Query>({ text: "", isRegex: false, isCaseSensitive: false });
  const [at, setAt] = useState(-1);
  const found = useStore(client.found);

  // biome-ignore lint/correctness/useExhaustiveDependencies: other streams are another search
  useEffect(() => {
    setAt(-1);
    onShow(undefined);
    if (query.text === "") {
      client.find(undefined);
      return;
    }
    const timer = setTimeout(() => client.find(query), TYPING_MS);
    return () => clearTimeout(timer);
  }, [client, query, streams]);

  const { lines } = found;
  const go = useCallback(
    (step: 1 | -1) => {
      const { lines: all } = client.found.get();
      if (all.length === 0) return;
      const from = at >= 0 ? at + step : nearest(all, topLine(), step);
      const next = (from + all.length) % all.length;
      setAt(next);
      onShow(all[next]!);
    },
    [client, at, topLine, onShow],
  );

  // The first match from where the reader is comes into sight by itself.
  const hasFound = query.text !== "" && at < 0 && lines.length > 0;
  const isReady = hasFound && (found.isDone || lines.at(-1)! >= topLine());
  useEffect(() => {
    if (isReady) go(1);
  }, [isReady, go]);

  return {
    query,
    setQuery,
    mistake: found.error,
    count: lines.length,
    isDone: found.isDone,
    /** Which match is looked at, counted from 0; -1 for none. */
    at: at < lines.length ? at : -1,
    go,
  };
}

function nearest(lines: readonly number[], from: number, step: 1 | -1): number {
  const next = firstAtLeast(lines, lines.length, from);
  return step === 1 ? (next < lines.length ? next : 0) : next - 1;
}
