import { Suspense, useState } from "react";
import { Button } from "~/parts/basics";
import { lazy } from "~/parts/lazy";

const ViewsDialog = lazy(() => import("./views-dialog").then((module) => ({ default: module.ViewsDialog })));

/** Saved views of a page: its filters and its order under a name, of one's own or for all. */
export function Views({ page, search }: { page: "tests" | "runs"; search: Record<string, unknown> }) {
  const [open, setOpen] = useState(false);
  return (
    <>
      <Button onClick={() => setOpen(true)}>Views</Button>
      <Suspense>
        {open ? <ViewsDialog page={page} search={search} onClose={() => setOpen(false)} /> : null}
      </Suspense>
    </>
  );
}
