import { QueryClientProvider } from "@tanstack/react-query";
import { createMemoryHistory, RouterProvider } from "@tanstack/react-router";
import { render } from "@testing-library/react";
import { setupServer } from "msw/node";
import { makeQueryClient } from "~/api/query";
import { makeRouter } from "~/app/router";

/** A server that answers what a test says; what it does not say is an error. */
export const server = setupServer();

/** Shows the whole app at an address, over the mocked API. */
export function showApp(address: string) {
  const queries = makeQueryClient(() => {});
  queries.setDefaultOptions({ queries: { retry: false } });
  const router = makeRouter(queries);
  router.update({ ...router.options, history: createMemoryHistory({ initialEntries: [address] }) });
  render(
    <QueryClientProvider client={queries}>
      <RouterProvider router={router} />
    </QueryClientProvider>,
  );
  return { router, queries };
}
