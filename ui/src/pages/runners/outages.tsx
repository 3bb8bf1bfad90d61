import { useQuery } from "@tanstack/react-query";
import { api } from "~/api/client";
import { useNs } from "~/app/namespace";
import { Panel } from "~/parts/basics";
import { Loaded, Skeleton } from "~/parts/loaded";
import { OnlyFirst } from "~/parts/more";
import { Badge } from "~/parts/state";
import { Time, Took } from "~/parts/time";

const SHOWN = 20;

/** When the control test of the namespace failed on a runner: then the machine was at fault, and not the other tests. */
export function Outages({ runner }: { runner: string }) {
  const ns = useNs();
  const query = useQuery(
    api.queryOptions("get", "/api/v1/namespaces/{namespace}/outages", {
      params: { path: { namespace: ns }, query: { runner, page_size: SHOWN } },
    }),
  );
  return (
    <Panel title="When its control test failed" note="what other tests did then says nothing of them">
      <Loaded query={query} what="Its outages" skeleton={<Skeleton rows={2} />}>
        {(page) =>
          page.items.length === 0 ? (
            <p className="px-3.5 py-4 text-sm text-muted">
              Never, as far as is known. A test with the annotation{" "}
              <code className="code">tstr.control=true</code> is one.
            </p>
          ) : (
            <ul className="text-sm">
              {page.items.map((outage) => (
                <li
                  key={outage.since}
                  className="flex flex-wrap items-center gap-x-3 border-b px-3.5 py-1.5 last:border-b-0"
                >
                  {outage.until ? null : <Badge tone="fail">goes on</Badge>}
                  <span>
                    <Time at={outage.since} how="absolute" />
                    {outage.until ? (
                      <>
                        {" "}
                        to <Time at={outage.until} how="absolute" />
                      </>
                    ) : null}
                  </span>
                  <span className="ml-auto text-muted">
                    <Took from={outage.since} to={outage.until} />
                    {outage.until || !outage.failed_at ? null : (
                      <>
                        , failed last <Time at={outage.failed_at} />
                      </>
                    )}
                  </span>
                </li>
              ))}
              <li>
                <OnlyFirst
                  page={page}
                  what="outages"
                  command={`tstr ctl runner outages ${runner} --namespace ${ns}`}
                />
              </li>
            </ul>
          )
        }
      </Loaded>
    </Panel>
  );
}
