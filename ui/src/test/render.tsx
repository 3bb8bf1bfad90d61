import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import {
  createMemoryHistory,
  createRootRoute,
  createRoute,
  createRouter,
  RouterProvider,
} from "@tanstack/react-router";
import { render } from "@testing-library/react";
import { setupServer } from "msw/node";
import type { ReactNode } from "react";
import { vi } from "vitest";
import { makeApp } from "~/app/app";
import { parseSearch, stringifySearch } from "~/lib/search";

/** A server that answers what a test says; what it does not say is an error. */
export const server = setupServer();

/** What browsers have and jsdom has not: nothing is followed, nothing has a size, and nothing scrolls. */
export function stubBrowser() {
  vi.stubGlobal(
    "EventSource",
    class {
      static CLOSED = 2;
      readyState = 0;
      addEventListener() {}
      close() {}
    },
  );
  vi.stubGlobal(
    "ResizeObserver",
    class {
      observe() {}
      unobserve() {}
      disconnect() {}
    },
  );
  window.scrollTo = () => {};
}

/** Shows the whole app at an address, over the mocked API. */
export function showApp(address: string) {
  const { queries, router } = makeApp();
  queries.setDefaultOptions({ queries: { retry: false } });
  router.update({ ...router.options, history: createMemoryHistory({ initialEntries: [address] }) });
  const shown = render(
    <QueryClientProvider client={queries}>
      <RouterProvider router={router} />
    </QueryClientProvider>,
  );
  return { ...shown, router, queries };
}

/** Shows a part of a page of the namespace `default`. Where it leads is only an address. */
export function showPart(part: ReactNode) {
  const root = createRootRoute();
  const ns = createRoute({ getParentRoute: () => root, path: "/ns/$ns", component: () => part });
  const router = createRouter({
    routeTree: root.addChildren([ns]),
    history: createMemoryHistory({ initialEntries: ["/ns/default"] }),
    defaultNotFoundComponent: () => null,
    parseSearch,
    stringifySearch,
  });
  const queries = new QueryClient({ defaultOptions: { queries: { retry: false } } });
  const shown = render(
    <QueryClientProvider client={queries}>
      <RouterProvider router={router as never} />
    </QueryClientProvider>,
  );
  return { ...shown, router, queries };
}
