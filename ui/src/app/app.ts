import type { QueryClient } from "@tanstack/react-query";
import { makeQueryClient } from "~/api/query";
import { makeRouter } from "./router";

/** The cache of answers and the router of the app; each needs the other. */
export function makeApp(): { queries: QueryClient; router: ReturnType<typeof makeRouter> } {
  const queries = makeQueryClient(() => {
    // The whole path, without that of the server: a test may be called «signin».
    const { pathname, href } = router.latestLocation;
    if (pathname === "/signin") return;
    queries.removeQueries({ queryKey: ["identity"] });
    void router.navigate({ to: "/signin", search: { to: href } });
  });
  const router = makeRouter(queries);
  return { queries, router };
}
