import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { makeQueryClient } from "./api/query";
import { makeRouter } from "./app/router";
import { followTheme } from "./app/settings";
import "./styles.css";

const queries = makeQueryClient(() => {
  const { pathname, href } = router.state.location;
  if (pathname.endsWith("/signin")) return;
  queries.removeQueries({ queryKey: ["identity"] });
  void router.navigate({ to: "/signin", search: { to: href } });
});
const router = makeRouter(queries);

followTheme();

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <QueryClientProvider client={queries}>
      <RouterProvider router={router} />
    </QueryClientProvider>
  </StrictMode>,
);
