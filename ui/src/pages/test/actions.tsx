import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { Suspense, useState } from "react";
import { client, type Schema } from "~/api/client";
import { identityQuery, mayControl } from "~/api/session";
import { type Nothing, useAction } from "~/app/action";
import { useNs } from "~/app/namespace";
import { plural } from "~/lib/numbers";
import { Button, Copy } from "~/parts/basics";
import { lazy } from "~/parts/lazy";

const RunWith = lazy(() => import("./run-with").then((m) => ({ default: m.RunWith })));

/** What can be done with a test. */
export function TestActions({ test }: { test: Schema["TestDef"] }) {
  const ns = useNs();
  const navigate = useNavigate();
  const { data: identity } = useQuery(identityQuery);
  const [open, setOpen] = useState(false);
  const why = mayControl(identity) ? undefined : "This needs a token with the scope control";
  const params = { path: { namespace: ns, test: test.name } };
  const run = useAction({
    act: async (_: Nothing, key) =>
      (
        await client.POST("/api/v1/namespaces/{namespace}/tests/{test}/runs", {
          params: { ...params, header: { "Idempotency-Key": key } },
        })
      ).data!,
    says: (made) => `${plural(made.runs.length, "run")} made`,
    fails: "Not run",
    after: (made) => {
      const first = made.runs[0];
      if (first) void navigate({ to: "/ns/$ns/runs/$run", params: { ns, run: first.id } });
    },
  });
  const pause = useAction({
    act: async () => {
      if (test.paused) await client.POST("/api/v1/namespaces/{namespace}/tests/{test}/resume", { params });
      else await client.POST("/api/v1/namespaces/{namespace}/tests/{test}/pause", { params });
    },
    says: test.paused ? "The schedule goes on" : "The schedule is paused",
    fails: test.paused ? "Still paused" : "Not paused",
  });
  return (
    <>
      <Button icon="play" kind="primary" why={why} busy={run.isPending} onClick={() => run.mutate()}>
        Run now
      </Button>
      <Button why={why} onClick={() => setOpen(true)}>
        Run with…
      </Button>
      <Button
        icon={test.paused ? "play" : "pause"}
        why={why ?? (test.cron_schedule ? undefined : "It has no schedule that could be paused")}
        busy={pause.isPending}
        onClick={() => pause.mutate()}
      >
        {test.paused ? "Resume" : "Pause"}
      </Button>
      <Copy text={`tstr ctl test run ${test.name} --namespace ${ns}`} label="Copy the command that runs it" />
      <Suspense>{open ? <RunWith test={test} onClose={() => setOpen(false)} /> : null}</Suspense>
    </>
  );
}
