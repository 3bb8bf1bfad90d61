import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { Suspense, useState } from "react";
import { api, client, type Schema } from "~/api/client";
import { runQuery } from "~/api/queries";
import { identityQuery, mayControl } from "~/api/session";
import { type Nothing, useAction } from "~/app/action";
import { useNs } from "~/app/namespace";
import { labelPairs } from "~/lib/matrix";
import { endWords } from "~/lib/verdict";
import { Button, Copy, cellText } from "~/parts/basics";
import { lazy } from "~/parts/lazy";
import { runWord, stateLabel } from "~/parts/state";

const RetryWith = lazy(() => import("./retry-with").then((m) => ({ default: m.RetryWith })));
const KeepDialog = lazy(() => import("./keep-dialog").then((m) => ({ default: m.KeepDialog })));

/** What can be done with a run. */
export function RunActions({ run }: { run: Schema["Run"] }) {
  const ns = useNs();
  const navigate = useNavigate();
  const { data: identity } = useQuery(identityQuery);
  const [keeping, setKeeping] = useState(false);
  const [retrying, setRetrying] = useState(false);
  const why = mayControl(identity) ? undefined : "This needs a token with the scope control";
  const path = { run: run.id };

  const cancel = useAction({
    act: async () => (await client.POST("/api/v1/runs/{run}/cancel", { params: { path } })).data!,
    says: "Cancelling was asked for",
    fails: "Not cancelled",
    // The answer is the run as it is now; the page says «cancelling» without asking again.
    after: (after, queries) => queries.setQueryData(runQuery(run.id).queryKey, after),
  });
  const retry = useAction({
    act: async (_: Nothing, key) =>
      (
        await client.POST("/api/v1/runs/{run}/retry", {
          params: { path, header: { "Idempotency-Key": key } },
        })
      ).data!,
    says: (after) => after.warnings?.[0] ?? "A new run was made",
    fails: "Not retried",
    after: (after) => void navigate({ to: "/ns/$ns/runs/$run", params: { ns, run: after.id } }),
  });
  const unkeep = useAction({
    act: async () => (await client.POST("/api/v1/runs/{run}/unkeep", { params: { path } })).data!,
    says: "Retention may remove it again",
    fails: "Still kept",
  });

  const isOver = run.state === "finished";
  return (
    <>
      {isOver ? (
        <>
          <Button icon="retry" why={why} busy={retry.isPending} onClick={() => retry.mutate()}>
            Retry
          </Button>
          <Button
            why={why}
            onClick={() => setRetrying(true)}
            title="Other cells or cases, or another configuration"
          >
            Retry with…
          </Button>
          <CompareWithPass run={run} />
          <Button
            icon="pin"
            why={why}
            busy={unkeep.isPending}
            onClick={() => (run.kept ? unkeep.mutate() : setKeeping(true))}
            title={run.kept ? "Retention may remove it again" : "Retention leaves it alone"}
          >
            {run.kept ? "Unkeep" : "Keep"}
          </Button>
        </>
      ) : (
        <Button
          icon="stop"
          kind="danger"
          why={why ?? (run.cancel_requested ? "Cancelling was asked for already" : undefined)}
          busy={cancel.isPending}
          onClick={() => cancel.mutate()}
        >
          {run.cancel_requested ? "Cancelling…" : "Cancel"}
        </Button>
      )}
      <Copy text={markdown(run)} label="Copy as Markdown" />
      <Suspense>{retrying ? <RetryWith run={run} onClose={() => setRetrying(false)} /> : null}</Suspense>
      <Suspense>{keeping ? <KeepDialog run={run} onClose={() => setKeeping(false)} /> : null}</Suspense>
    </>
  );
}

/** A line about the run for a chat or an issue. */
function markdown(run: Schema["Run"]): string {
  const cell = cellText(run.cell);
  const words = run.message ?? endWords(run);
  const state = stateLabel(runWord(run)).toLowerCase();
  return `**[${run.test_name}](${location.origin}${location.pathname})**${cell ? ` (${cell})` : ""}: ${state}${words ? `, ${words}` : ""}`;
}

/** Compares with the last run of the same cell that passed: one click, as that is what a failure asks for first. */
function CompareWithPass({ run }: { run: Schema["Run"] }) {
  const ns = useNs();
  const navigate = useNavigate();
  const { data: pass } = useQuery({
    ...api.queryOptions("get", "/api/v1/namespaces/{namespace}/runs", {
      params: {
        path: { namespace: ns },
        query: {
          test: run.test_id,
          result: ["pass"],
          label: labelPairs(run.cell),
          scheduled_before: run.scheduled_at,
          page_size: 2,
        },
      },
    }),
    select: (page) => page.items.find((each) => each.id !== run.id) ?? null,
  });
  return (
    <Button
      icon="compare"
      why={
        pass === null
          ? "No run of this cell before it passed"
          : pass
            ? undefined
            : "Looking for the last pass"
      }
      onClick={() =>
        pass && void navigate({ to: "/ns/$ns/compare", params: { ns }, search: { a: pass.id, b: run.id } })
      }
    >
      Compare with last pass
    </Button>
  );
}
