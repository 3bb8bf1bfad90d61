import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { api } from "~/api/client";
import { useNs } from "~/app/namespace";
import { duration } from "~/lib/time";
import { lastWait } from "~/lib/waits";
import { Time } from "~/parts/time";

/** How long the run waited that was taken last, where nothing waits any more. */
export function LastWait() {
  const ns = useNs();
  const { data: last } = useQuery({
    ...api.queryOptions("get", "/api/v1/namespaces/{namespace}/runs", {
      params: {
        path: { namespace: ns },
        query: { state: ["leased", "running", "finished"], page_size: 20 },
      },
    }),
    select: (page) => lastWait(page.items) ?? null,
  });
  if (!last) return null;
  return (
    <>
      The last wait was{" "}
      <Link className="prose-link" to="/ns/$ns/runs/$run" params={{ ns, run: last.run.id }}>
        {duration(last.ms)}
      </Link>
      , <Time at={last.at} />.{" "}
    </>
  );
}
