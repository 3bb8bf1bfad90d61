import type { QueryClient } from "@tanstack/react-query";
import {
  createRootRouteWithContext,
  createRoute,
  createRouter,
  Outlet,
  redirect,
} from "@tanstack/react-router";
import { ApiError } from "~/api/problem";
import { identityQuery } from "~/api/session";
import { basePath } from "~/lib/base";
import { parseSearch, stringifySearch } from "~/lib/search";
import { Frame } from "./frame";
import { lazyPage } from "./lazy-page";
import { lastNamespace } from "./namespace";
import { NoPage, PageFailed } from "./outcomes";
import * as searches from "./searches";

const root = createRootRouteWithContext<{ queries: QueryClient }>()({
  component: Outlet,
  notFoundComponent: NoPage,
});

const home = createRoute({
  getParentRoute: () => root,
  path: "/",
  beforeLoad: async ({ context, location }) => {
    const identity = await signedIn(context.queries, location.href);
    const ns = [lastNamespace.get(), "default", ...identity.namespaces].find((each) =>
      identity.namespaces.includes(each),
    );
    if (ns) throw redirect({ to: "/ns/$ns", params: { ns }, replace: true });
  },
  component: lazyPage(() => import("~/pages/signin/no-namespace"), "NoNamespace"),
});

const signin = createRoute({
  getParentRoute: () => root,
  path: "/signin",
  validateSearch: searches.signinSearch,
  component: lazyPage(() => import("~/pages/signin/signin"), "SignIn"),
});

const ns = createRoute({
  getParentRoute: () => root,
  path: "/ns/$ns",
  beforeLoad: ({ context, location }) => signedIn(context.queries, location.href).then(() => {}),
  component: Frame,
  notFoundComponent: NoPage,
});

/** Who is signed in; a visitor who is not goes to the sign-in page, and comes back here afterwards. */
async function signedIn(queries: QueryClient, to: string) {
  try {
    return await queries.ensureQueryData(identityQuery);
  } catch (thrown) {
    if (thrown instanceof ApiError && thrown.status === 401)
      throw redirect({ to: "/signin", search: { to } });
    throw thrown;
  }
}

const dashboard = createRoute({
  getParentRoute: () => ns,
  path: "/",
  validateSearch: searches.dashboardSearch,
  component: lazyPage(() => import("~/pages/dashboard/dashboard"), "Dashboard"),
});
const tests = createRoute({
  getParentRoute: () => ns,
  path: "/tests",
  validateSearch: searches.testsSearch,
  component: lazyPage(() => import("~/pages/tests/tests"), "Tests"),
});
const test = createRoute({
  getParentRoute: () => ns,
  path: "/tests/$test",
  validateSearch: searches.testSearch,
  component: lazyPage(() => import("~/pages/test/test"), "Test"),
});
const runs = createRoute({
  getParentRoute: () => ns,
  path: "/runs",
  validateSearch: searches.runsSearch,
  component: lazyPage(() => import("~/pages/runs/runs"), "Runs"),
});
const run = createRoute({
  getParentRoute: () => ns,
  path: "/runs/$run",
  validateSearch: searches.runSearch,
  component: lazyPage(() => import("~/pages/run/run"), "Run"),
});
const compare = createRoute({
  getParentRoute: () => ns,
  path: "/compare",
  validateSearch: searches.compareSearch,
  component: lazyPage(() => import("~/pages/compare/compare"), "Compare"),
});
const queue = createRoute({
  getParentRoute: () => ns,
  path: "/queue",
  validateSearch: searches.queueSearch,
  component: lazyPage(() => import("~/pages/queue/queue"), "Queue"),
});
const runners = createRoute({
  getParentRoute: () => ns,
  path: "/runners",
  validateSearch: searches.runnersSearch,
  component: lazyPage(() => import("~/pages/runners/runners"), "Runners"),
});
const runner = createRoute({
  getParentRoute: () => ns,
  path: "/runners/$runner",
  component: lazyPage(() => import("~/pages/runners/runner"), "Runner"),
});
const schedules = createRoute({
  getParentRoute: () => ns,
  path: "/schedules",
  validateSearch: searches.schedulesSearch,
  component: lazyPage(() => import("~/pages/schedules/schedules"), "Schedules"),
});
const admin = createRoute({
  getParentRoute: () => ns,
  path: "/admin",
  validateSearch: searches.adminSearch,
  component: lazyPage(() => import("~/pages/admin/admin"), "Admin"),
});

const tree = root.addChildren([
  home,
  signin,
  ns.addChildren([dashboard, tests, test, runs, run, compare, queue, runners, runner, schedules, admin]),
]);

/** Makes the router of the app over a cache of answers. */
export function makeRouter(queries: QueryClient) {
  return createRouter({
    routeTree: tree,
    basepath: basePath() || "/",
    context: { queries },
    parseSearch,
    stringifySearch,
    scrollRestoration: true,
    defaultPreload: "intent",
    defaultNotFoundComponent: NoPage,
    defaultErrorComponent: PageFailed,
    // A page that loads slowly keeps the one before it on the screen for this long.
    defaultPendingMs: 300,
  });
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof makeRouter>;
  }
}
