import { api } from "~/api/client";
import { isPaused } from "~/api/live";

/** What a run changed. It is told of a moment after the run has ended, and nothing else says when. */
export function changesQuery(run: string) {
  return {
    ...api.queryOptions("get", "/api/v1/runs/{run}/changes", { params: { path: { run } } }),
    refetchInterval: ({ state }: { state: { data?: { told: boolean } | undefined } }) =>
      state.data && !state.data.told && !isPaused() ? 2_000 : (false as const),
  };
}
