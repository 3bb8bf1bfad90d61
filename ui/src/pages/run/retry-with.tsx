import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { api, client, type Schema } from "~/api/client";
import { testQuery } from "~/api/queries";
import { useAction } from "~/app/action";
import { useNs } from "~/app/namespace";
import { newKey } from "~/lib/key";
import { counted, plural } from "~/lib/numbers";
import { Button, cellText } from "~/parts/basics";
import { Dialog, DialogEnd } from "~/parts/dialog";
import { Problem } from "~/parts/loaded";

const SHOWN = 100;
const FAILED = new Set<string>(["fail", "error", "timed_out"]);

type What = "same" | "current" | "failed";

/** How a run can be made again: as it was, as its test is now, or all cells of its matrix that failed. */
export function RetryWith({ run, onClose }: { run: Schema["Run"]; onClose: () => void }) {
  const ns = useNs();
  const navigate = useNavigate();
  const [what, setWhat] = useState<What>("same");
  const [onlyFailed, setOnlyFailed] = useState(false);
  const [key] = useState(newKey);
  const { data: test, error: noTest } = useQuery({ ...testQuery(ns, run.test_id), retry: false });
  const { data: matrix } = useQuery(
    api.queryOptions("get", "/api/v1/namespaces/{namespace}/runs", {
      params: { path: { namespace: ns }, query: { matrix_id: run.matrix_id, page_size: SHOWN } },
    }),
  );
  const failed = matrix?.items.filter((each) => FAILED.has(each.result ?? "")).length ?? 0;
  const isMatrix = (matrix?.items.length ?? 0) > 1;
  const cases = (run.cases?.failed ?? 0) + (run.cases?.errors ?? 0);
  const cell = cellText(run.cell);
  const retry = useAction({
    act: (): Promise<Made> =>
      make({ ns, run, what, failedCases: onlyFailed, key: `${key}-${what}-${onlyFailed}` }),
    says: (made) => made.warning ?? `${plural(made.runs.length, "run")} made`,
    fails: "Not retried",
    after: (made) => {
      onClose();
      const first = made.runs[0];
      if (first) void navigate({ to: "/ns/$ns/runs/$run", params: { ns, run: first.id } });
    },
  });
  const options: { value: What; name: string; about: string; why?: string | undefined }[] = [
    {
      value: "same",
      name: cell ? `This cell (${cell}), as it was` : "This run, as it was",
      about: "With the configuration that it had, whatever the test says now.",
    },
    {
      value: "current",
      name: cell ? "This cell, as the test is now" : "As the test is now",
      about: test
        ? `With version ${test.version}. Labels and variables that somebody gave this run are not taken over.`
        : noTest
          ? "The test is deleted, or cannot be read."
          : "With the configuration that the test has now.",
      why: test ? undefined : "The test is not known",
    },
    {
      value: "failed",
      name: `The failed cells of its matrix${matrix ? ` (${counted({ count: failed, more: matrix.next_page_token !== undefined })})` : ""}, as they were`,
      about: isMatrix
        ? "Cells that go on or passed are left out."
        : "It was made alone: there are no other cells.",
      why: isMatrix && failed > 0 ? undefined : "No cell of it failed",
    },
  ];
  return (
    <Dialog title={`Retry ${run.test_name}`} onClose={onClose}>
      <form
        className="flex flex-col gap-4"
        onSubmit={(event) => {
          event.preventDefault();
          retry.mutate();
        }}
      >
        <fieldset className="flex flex-col gap-2">
          <legend className="visually-hidden">What is made again</legend>
          {options.map((each) => (
            <label key={each.value} className={`flex items-start gap-2.5 ${each.why ? "opacity-55" : ""}`}>
              <input
                type="radio"
                name="what"
                className="mt-1"
                checked={what === each.value}
                disabled={each.why !== undefined}
                onChange={() => setWhat(each.value)}
              />
              <span className="min-w-0">
                <span className="block font-medium wrap-anywhere">{each.name}</span>
                <span className="block text-sm text-muted">{each.about}</span>
              </span>
            </label>
          ))}
        </fieldset>
        {cases > 0 ? (
          <label className={`flex items-start gap-2.5 ${what === "current" ? "opacity-55" : ""}`}>
            <input
              type="checkbox"
              className="mt-1"
              checked={onlyFailed && what !== "current"}
              disabled={what === "current"}
              onChange={(event) => setOnlyFailed(event.target.checked)}
            />
            <span className="min-w-0">
              <span className="block font-medium">Name the failed cases to the container</span>
              <span className="block text-sm text-muted">
                {plural(cases, "case")} of this run, in <code className="code">TSTR_FAILED_CASES</code>; it is
                up to the test to run only these.
              </span>
            </span>
          </label>
        ) : null}
        {retry.error ? <Problem error={retry.error} /> : null}
        <DialogEnd onClose={onClose}>
          <Button type="submit" kind="primary" icon="retry" busy={retry.isPending}>
            Retry
          </Button>
        </DialogEnd>
      </form>
    </Dialog>
  );
}

interface Made {
  runs: { id: string }[];
  warning?: string | undefined;
}

/** One request for each way; the key makes a second press of the same wish the same run. */
async function make({
  ns,
  run,
  what,
  failedCases,
  key,
}: {
  ns: string;
  run: Schema["Run"];
  what: What;
  failedCases: boolean;
  key: string;
}): Promise<Made> {
  const header = { "Idempotency-Key": key };
  if (what === "current") {
    const { data } = await client.POST("/api/v1/namespaces/{namespace}/tests/{test}/runs", {
      params: { path: { namespace: ns, test: run.test_id }, header },
      body: { labels: {}, env: {}, matrix: run.cell },
    });
    return { runs: data!.runs };
  }
  if (what === "failed") {
    const { data } = await client.POST("/api/v1/namespaces/{namespace}/matrices/{matrix_id}/retry", {
      params: { path: { namespace: ns, matrix_id: run.matrix_id }, header },
      body: { only_failed: true, failed_cases: failedCases },
    });
    return { runs: data!.runs, warning: data!.warnings?.[0] };
  }
  const { data } = await client.POST("/api/v1/runs/{run}/retry", {
    params: { path: { run: run.id }, header },
    body: { failed_cases: failedCases },
  });
  return { runs: [data!], warning: data!.warnings?.[0] };
}
