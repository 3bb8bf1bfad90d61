import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { client } from "~/api/client";
import { identityQuery, mayControl } from "~/api/session";
import { type Nothing, useAction } from "~/app/action";
import { useNs } from "~/app/namespace";
import { plural } from "~/lib/numbers";
import { Button } from "~/parts/basics";

/** Runs a test outside its schedule, and shows the run that was made, or the set of them. */
export function RunNow({ test }: { test: string }) {
  const ns = useNs();
  const navigate = useNavigate();
  const { data: identity } = useQuery(identityQuery);
  const run = useAction({
    act: async (_: Nothing, key) =>
      (
        await client.POST("/api/v1/namespaces/{namespace}/tests/{test}/runs", {
          params: { path: { namespace: ns, test }, header: { "Idempotency-Key": key } },
        })
      ).data!,
    says: (made) => `${plural(made.runs.length, "run")} of ${test} made`,
    fails: `${test} was not run`,
    after: (made) => {
      const [first] = made.runs;
      if (first && made.runs.length === 1)
        void navigate({ to: "/ns/$ns/runs/$run", params: { ns, run: first.id } });
      else if (first)
        void navigate({ to: "/ns/$ns/runs", params: { ns }, search: { matrix: made.matrix_id } });
    },
  });
  return (
    <Button
      kind="quiet"
      icon="play"
      busy={run.isPending}
      why={mayControl(identity) ? undefined : "This needs a token with the scope control"}
      onClick={() => run.mutate()}
    >
      Run now<span className="visually-hidden">: {test}</span>
    </Button>
  );
}
