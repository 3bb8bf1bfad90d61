import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { api, client, type Schema } from "~/api/client";
import { identityQuery, mayControl } from "~/api/session";
import { type Nothing, useAction } from "~/app/action";
import { useNs } from "~/app/namespace";
import { plural } from "~/lib/numbers";
import { Button, cellText, Panel } from "~/parts/basics";
import { Loaded } from "~/parts/loaded";
import { runWord, StateIcon, stateLabel } from "~/parts/state";
import { Took } from "~/parts/time";

const SHOWN = 100;
const FAILED = new Set<string>(["fail", "error", "timed_out"]);

/** The runs that were made together with this one: the other cells of the matrix. */
export function Siblings({ run }: { run: Schema["Run"] }) {
  const ns = useNs();
  const query = useQuery(
    api.queryOptions("get", "/api/v1/namespaces/{namespace}/runs", {
      params: { path: { namespace: ns }, query: { matrix_id: run.matrix_id, page_size: SHOWN } },
    }),
  );
  const navigate = useNavigate();
  const { data: identity } = useQuery(identityQuery);
  const retry = useAction({
    act: async (_: Nothing, key) =>
      (
        await client.POST("/api/v1/namespaces/{namespace}/matrices/{matrix_id}/retry", {
          params: {
            path: { namespace: ns, matrix_id: run.matrix_id },
            header: { "Idempotency-Key": key },
          },
          body: { only_failed: true },
        })
      ).data!,
    says: (made) => made.warnings?.[0] ?? `${plural(made.runs.length, "run")} made`,
    fails: "Not retried",
    after: (made) => {
      const first = made.runs[0];
      if (first) void navigate({ to: "/ns/$ns/runs/$run", params: { ns, run: first.id } });
    },
  });
  if (query.data && query.data.items.length < 2) return null;
  const failed = query.data?.items.filter((each) => FAILED.has(each.result ?? "")).length ?? 0;
  return (
    <Panel
      title="The matrix"
      actions={
        <Link className="link text-sm" to="/ns/$ns/runs" params={{ ns }} search={{ matrix: run.matrix_id }}>
          list
        </Link>
      }
    >
      <Loaded query={query} what="The other cells">
        {(page) => (
          <ul className="max-h-96 overflow-y-auto py-1 text-sm">
            {[...page.items]
              .sort((a, b) => cellText(a.cell).localeCompare(cellText(b.cell)))
              .map((each) => (
                <li key={each.id}>
                  <Link
                    to="/ns/$ns/runs/$run"
                    params={{ ns, run: each.id }}
                    aria-current={each.id === run.id ? "page" : undefined}
                    className={`flex min-h-8 items-center gap-2 px-3.5 hover:bg-sunken ${each.id === run.id ? "bg-accent-soft font-medium" : ""}`}
                  >
                    <StateIcon state={runWord(each)} />
                    <span className="visually-hidden">{stateLabel(runWord(each))}</span>
                    <span className="min-w-0 flex-1 truncate" title={cellText(each.cell)}>
                      {cellText(each.cell) || each.test_name}
                    </span>
                    <span className="text-muted">
                      <Took from={each.started_at} to={each.finished_at} />
                    </span>
                  </Link>
                </li>
              ))}
            {failed > 0 ? (
              <li className="border-t px-3.5 pt-2 pb-1">
                <Button
                  icon="retry"
                  busy={retry.isPending}
                  why={mayControl(identity) ? undefined : "This needs a token with the scope control"}
                  onClick={() => retry.mutate()}
                >
                  Retry {plural(failed, "failed cell")}
                </Button>
              </li>
            ) : null}
            {page.next_page_token ? (
              <li className="px-3.5 py-1.5 text-muted">
                Only the latest {SHOWN};{" "}
                <Link
                  className="prose-link"
                  to="/ns/$ns/runs"
                  params={{ ns }}
                  search={{ matrix: run.matrix_id }}
                >
                  all of them
                </Link>
              </li>
            ) : null}
          </ul>
        )}
      </Loaded>
    </Panel>
  );
}
