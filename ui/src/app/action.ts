import { type QueryClient, useMutation, useQueryClient } from "@tanstack/react-query";
import { done, failed } from "~/parts/toast";

/**
 * An action of a person: says afterwards that it was done, or why not, and makes everything that is shown stale, since an
 * action seldom changes one answer only.
 */
export function useAction<A = void, R = unknown>(options: {
  act: (argument: A) => Promise<R>;
  says: string | ((result: R) => string);
  fails: string;
  after?: (result: R, queries: QueryClient) => void;
}) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: options.act,
    onSuccess(result) {
      done(typeof options.says === "string" ? options.says : options.says(result));
      void queries.invalidateQueries({ predicate: (query) => query.meta?.live !== false });
      options.after?.(result, queries);
    },
    onError(thrown) {
      failed(options.fails, thrown);
    },
  });
}
