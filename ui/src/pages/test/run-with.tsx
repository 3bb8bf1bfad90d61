import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { client, type Schema } from "~/api/client";
import { ApiError } from "~/api/problem";
import { useAction } from "~/app/action";
import { useNs } from "~/app/namespace";
import { newKey } from "~/lib/key";
import { axes } from "~/lib/matrix";
import { plural } from "~/lib/numbers";
import { parsePairs } from "~/lib/pairs";
import { Button } from "~/parts/basics";
import { Dialog, DialogEnd, Field } from "~/parts/dialog";
import { Problem } from "~/parts/loaded";

/** Running a test with other labels, another environment, some cells only, another priority, or later. */
export function RunWith({ test, onClose }: { test: Schema["TestDef"]; onClose: () => void }) {
  const ns = useNs();
  const navigate = useNavigate();
  const [labels, setLabels] = useState("");
  const [env, setEnv] = useState("");
  const [cell, setCell] = useState<Record<string, string>>({});
  const [priority, setPriority] = useState("");
  const [after, setAfter] = useState("");
  const keys = axes([
    ...Object.entries(test.matrix?.labels ?? {}).flatMap(([key, values]) =>
      values.map((value) => ({ [key]: value })),
    ),
    ...(test.matrix?.include ?? []),
  ]);
  const labelPairs = parsePairs(labels);
  const envPairs = parsePairs(env);
  const [key] = useState(newKey);
  const run = useAction({
    act: async () =>
      (
        await client.POST("/api/v1/namespaces/{namespace}/tests/{test}/runs", {
          params: { path: { namespace: ns, test: test.name }, header: { "Idempotency-Key": key } },
          body: {
            labels: labelPairs.pairs,
            env: envPairs.pairs,
            matrix: cell,
            priority: (priority || null) as Schema["Priority"] | null,
            // The field has no zone; what is typed is in the zone of the browser, as the hint says.
            not_before: after ? new Date(after).toISOString() : null,
          },
        })
      ).data!,
    says: (made) => `${plural(made.runs.length, "run")} made`,
    fails: "Not run",
    after: (made) => {
      onClose();
      const first = made.runs[0];
      if (first) void navigate({ to: "/ns/$ns/runs/$run", params: { ns, run: first.id } });
    },
  });
  const wrong = labelPairs.wrong ?? envPairs.wrong;
  return (
    <Dialog title={`Run ${test.name}`} onClose={onClose}>
      <form
        className="flex flex-col gap-4"
        onSubmit={(event) => {
          event.preventDefault();
          if (!wrong) run.mutate();
        }}
      >
        {[...keys].map(([name, values]) => (
          <Field key={name} label={`Cells with ${name}`}>
            {(id) => (
              <select
                id={id}
                className="input"
                value={cell[name] ?? ""}
                onChange={(event) => {
                  const { [name]: _, ...rest } = cell;
                  setCell(event.target.value ? { ...rest, [name]: event.target.value } : rest);
                }}
              >
                <option value="">any</option>
                {values.map((value) => (
                  <option key={value}>{value}</option>
                ))}
              </select>
            )}
          </Field>
        ))}
        <Field
          label="Labels"
          hint="One key=value a line. They override those of the test and decide which runner takes it."
          error={labelPairs.wrong && `«${labelPairs.wrong}» is not key=value.`}
        >
          {(id, about) => (
            <textarea
              id={id}
              aria-describedby={about}
              aria-invalid={labelPairs.wrong ? true : undefined}
              rows={2}
              className="input code"
              value={labels}
              onChange={(event) => setLabels(event.target.value)}
            />
          )}
        </Field>
        <Field
          label="Environment"
          hint="One KEY=value a line, beside what the test has."
          error={envPairs.wrong && `«${envPairs.wrong}» is not KEY=value.`}
        >
          {(id, about) => (
            <textarea
              id={id}
              aria-describedby={about}
              aria-invalid={envPairs.wrong ? true : undefined}
              rows={2}
              className="input code"
              value={env}
              onChange={(event) => setEnv(event.target.value)}
            />
          )}
        </Field>
        <div className="grid gap-4 sm:grid-cols-2">
          <Field label="Priority">
            {(id) => (
              <select
                id={id}
                className="input"
                value={priority}
                onChange={(event) => setPriority(event.target.value)}
              >
                <option value="">{test.priority}, as the test has it</option>
                {["urgent", "high", "normal", "low"].map((each) => (
                  <option key={each}>{each}</option>
                ))}
              </select>
            )}
          </Field>
          <Field label="Not before" hint="In the zone of this browser.">
            {(id, about) => (
              <input
                id={id}
                aria-describedby={about}
                type="datetime-local"
                className="input"
                value={after}
                onChange={(event) => setAfter(event.target.value)}
              />
            )}
          </Field>
        </div>
        {run.error instanceof ApiError ? <Problem error={run.error} /> : null}
        <DialogEnd onClose={onClose}>
          <Button
            type="submit"
            kind="primary"
            icon="play"
            busy={run.isPending}
            why={wrong ? "A line is not key=value" : undefined}
          >
            Run
          </Button>
        </DialogEnd>
      </form>
    </Dialog>
  );
}
