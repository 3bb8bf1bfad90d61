import { MutationCache, QueryCache, QueryClient } from "@tanstack/react-query";
import { isPaused } from "./live";
import { ApiError } from "./problem";
import { hasSignedOut } from "./session";

/** Makes the cache of answers. `onSignedOut` is called when the server no longer knows the session. */
export function makeQueryClient(onSignedOut: () => void): QueryClient {
  const onError = (error: unknown) => {
    if (error instanceof ApiError && error.status === 401 && !hasSignedOut()) onSignedOut();
  };
  return new QueryClient({
    queryCache: new QueryCache({ onError }),
    mutationCache: new MutationCache({ onError }),
    defaultOptions: {
      queries: {
        staleTime: 5_000,
        // Paused means paused: coming back to the window must not refetch either.
        refetchOnWindowFocus: () => !isPaused(),
        refetchOnReconnect: () => !isPaused(),
        retry: (count, error) => count < 2 && !(error instanceof ApiError && !error.retryable),
        retryDelay: (count) => Math.min(1_000 * 2 ** count, 8_000),
      },
      mutations: { retry: false },
    },
  });
}
