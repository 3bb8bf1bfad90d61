import { type QueryClient, useMutation, useQueryClient } from "@tanstack/react-query";
import { useRef } from "react";
import { isRefused } from "~/api/problem";
import { newKey } from "~/lib/key";
import { done, failed } from "~/parts/toast";

/** What an action is given that needs nothing. */
// biome-ignore lint/suspicious/noConfusingVoidType: only of what is void a call may leave out the argument
export type Nothing = void;

/**
 * An action of a person: says afterwards that it was done, or why not, and makes everything that is shown stale, since an
 * action seldom changes one answer only.
 */
export function useAction<A = Nothing, R = unknown>(options: {
  /** Does it. With the key a repetition of what was not answered is known for one. */
  act: (argument: A, key: string) => Promise<R>;
  says: string | ((result: R) => string);
  fails: string;
  after?: (result: R, queries: QueryClient) => void;
}) {
  const queries = useQueryClient();
  const key = useRef<string>(undefined);
  return useMutation({
    mutationFn: (argument: A) => {
      key.current ??= newKey();
      return options.act(argument, key.current);
    },
    onSuccess(result) {
      key.current = undefined;
      done(typeof options.says === "string" ? options.says : options.says(result));
      void queries.invalidateQueries({ predicate: (query) => query.meta?.live !== false });
      options.after?.(result, queries);
    },
    onError(thrown) {
      // Of what was refused nothing was done. Of the rest nobody knows, and the next press means the same.
      if (isRefused(thrown)) key.current = undefined;
      failed(options.fails, thrown);
    },
  });
}
