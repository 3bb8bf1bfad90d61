import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { api, client, type Schema } from "~/api/client";
import { identityQuery, mayControl } from "~/api/session";
import { useAction } from "~/app/action";
import { useNs } from "~/app/namespace";
import { labelPairs, sameCell } from "~/lib/matrix";
import { plural } from "~/lib/numbers";
import { Button, cellText } from "~/parts/basics";
import { Dialog, DialogEnd, Field } from "~/parts/dialog";
import { Explained } from "~/parts/explained";
import { SearchField } from "~/parts/filters";
import { Loaded, Skeleton } from "~/parts/loaded";
import { ManyOutcomes, useMany } from "~/parts/many";
import { Took } from "~/parts/time";
import { done } from "~/parts/toast";

const SHOWN = 200;

/**
 * The waiting runs of a class, and why the first of them waits: what keeps one of a class keeps all. What is searched for
 * is what «Cancel these» cancels.
 */
export function ClassRuns({
  labels,
  q,
  onSearch,
}: {
  labels: Record<string, string>;
  q: string | undefined;
  onSearch: (q: string | undefined) => void;
}) {
  const ns = useNs();
  const { data: identity } = useQuery(identityQuery);
  const [chosen, setChosen] = useState<string>();
  // What the dialog was opened for: the list goes on changing, and the number that was typed must not.
  const [asked, setAsked] = useState<Schema["Run"][]>();
  const why = mayControl(identity) ? undefined : "This needs a token with the scope control";
  const query = useQuery({
    ...api.queryOptions("get", "/api/v1/namespaces/{namespace}/runs", {
      params: {
        path: { namespace: ns },
        query: {
          state: ["queued"],
          label: labelPairs(labels),
          page_size: SHOWN,
        },
      },
    }),
    // The filter asks for these labels at least; the class is those with exactly these.
    select: (page) => ({
      runs: page.items.filter((run) => sameCell(run.labels, labels)),
      more: page.next_page_token !== undefined,
    }),
  });
  const cancel = useAction({
    act: async (id: string) => {
      await client.POST("/api/v1/runs/{run}/cancel", { params: { path: { run: id } } });
    },
    says: "Cancelled",
    fails: "Not cancelled",
  });
  const list = (
    <Loaded query={query} what="Its runs" skeleton={<Skeleton rows={3} />}>
      {({ runs: all, more }) => {
        const wanted = q?.toLowerCase();
        const runs = all.filter(
          (run) => !wanted || `${run.test_name} ${cellText(run.cell)}`.toLowerCase().includes(wanted),
        );
        const shown = runs.find((run) => run.id === chosen) ?? runs.at(-1) ?? all.at(-1);
        if (!shown)
          return more ? (
            <p className="py-2 text-muted">
              The newest {SHOWN} runs that wait with these labels have others as well, so none of this class
              is among them.{" "}
              <Link
                className="link"
                to="/ns/$ns/runs"
                params={{ ns }}
                search={{
                  state: ["queued"],
                  label: labelPairs(labels),
                }}
              >
                List all that have these labels
              </Link>
            </p>
          ) : (
            <p className="py-2 text-muted">None of them waits any more.</p>
          );
        return (
          <div className="grid grid-cols-1 gap-6 py-1 lg:grid-cols-2">
            <section aria-label="Why it is not placed">
              <h3 className="mb-2">
                Why{" "}
                <Link className="link" to="/ns/$ns/runs/$run" params={{ ns, run: shown.id }}>
                  {shown.test_name}
                </Link>{" "}
                is not placed
              </h3>
              <Why run={shown.id} />
            </section>
            <section aria-label="Waiting runs">
              <div className="mb-1 flex flex-wrap items-center gap-3">
                <h3>
                  {wanted ? `${plural(runs.length, "run")} of ${all.length}` : plural(runs.length, "run")}
                  {more ? " and more" : ""}
                </h3>
                <SearchField value={q} label="Only tests or cells like" onSearch={onSearch} />
                <span className="ml-auto">
                  <Button
                    kind="danger"
                    why={why ?? (runs.length > 0 ? undefined : "There is none like that")}
                    onClick={() => setAsked(runs)}
                  >
                    {wanted ? `Cancel these ${runs.length}…` : "Cancel these…"}
                  </Button>
                </span>
              </div>
              {runs.length === 0 ? <p className="py-1 text-muted">None of them is like that.</p> : null}
              <ul className="max-h-80 overflow-y-auto">
                {runs.map((run) => (
                  <li key={run.id} className="flex min-h-8 items-center gap-2">
                    <button
                      type="button"
                      className={`link min-h-6 min-w-0 truncate text-left ${run.id === shown.id ? "font-medium" : "text-ink"}`}
                      aria-pressed={run.id === shown.id}
                      onClick={() => setChosen(run.id)}
                    >
                      {run.test_name} <span className="text-muted">{cellText(run.cell)}</span>
                    </button>
                    <span className="ml-auto whitespace-nowrap text-muted">
                      {run.priority === "normal" ? "" : `${run.priority}, `}
                      <Took from={run.created_at} />
                    </span>
                    <Button
                      kind="quiet"
                      why={why}
                      busy={cancel.isPending}
                      onClick={() => cancel.mutate(run.id)}
                    >
                      Cancel
                    </Button>
                  </li>
                ))}
              </ul>
            </section>
          </div>
        );
      }}
    </Loaded>
  );
  return (
    <>
      {list}
      {/* Outside of the list: it says what became of each run also when none of them waits any more. */}
      {asked ? <CancelAll runs={asked} onClose={() => setAsked(undefined)} /> : null}
    </>
  );
}

function Why({ run }: { run: string }) {
  const query = useQuery(
    api.queryOptions("get", "/api/v1/runs/{run}/explain", { params: { path: { run } } }),
  );
  return (
    <Loaded query={query} what="Why it waits" skeleton={<Skeleton rows={3} />}>
      {(explanation) => <Explained explanation={explanation} />}
    </Loaded>
  );
}

/** Cancelling many at once asks for their number: a click alone is too easily made. */
function CancelAll({ runs, onClose }: { runs: Schema["Run"][]; onClose: () => void }) {
  const [typed, setTyped] = useState("");
  const { many, start } = useMany<Schema["Run"], void>();
  const isRight = typed.trim() === String(runs.length);
  const cancel = async () => {
    const outcomes = await start(runs, async (run) => {
      await client.POST("/api/v1/runs/{run}/cancel", { params: { path: { run: run.id } } });
    });
    if (outcomes.every((each) => each.error === undefined)) {
      done(`${plural(runs.length, "run")} cancelled`);
      onClose();
    }
  };
  return (
    <Dialog title={`Cancel ${plural(runs.length, "run")}`} onClose={onClose}>
      <form
        className="flex flex-col gap-4"
        onSubmit={(event) => {
          event.preventDefault();
          if (isRight && !many) void cancel();
        }}
      >
        {many ? (
          <ManyOutcomes
            many={many}
            what="run"
            says="cancelled"
            name={(run) => `${run.test_name} ${cellText(run.cell)}`}
          />
        ) : (
          <Field
            label={`Type ${runs.length} to cancel them`}
            hint="They end as cancelled; a schedule makes new ones as ever."
          >
            {(id, about) => (
              <input
                id={id}
                aria-describedby={about}
                inputMode="numeric"
                autoComplete="off"
                className="input w-28"
                value={typed}
                onChange={(event) => setTyped(event.target.value)}
              />
            )}
          </Field>
        )}
        <DialogEnd onClose={onClose}>
          {many && !many.isRunning ? null : (
            <Button
              type="submit"
              kind="danger"
              busy={many?.isRunning}
              why={isRight ? undefined : "Type the number first"}
            >
              Cancel them
            </Button>
          )}
        </DialogEnd>
      </form>
    </Dialog>
  );
}
