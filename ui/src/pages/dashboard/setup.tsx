import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import type { Schema } from "~/api/client";
import { useNs } from "~/app/namespace";
import { plural } from "~/lib/numbers";
import { Command, Panel } from "~/parts/basics";
import { StateIcon } from "~/parts/state";

/** What an empty namespace needs until its first result; the steps tick themselves off as they are done. */
export function Setup({ said }: { said: Schema["Dashboard"] }) {
  const ns = useNs();
  const { runners, tests } = said;
  const steps: { done: boolean; name: string; text: ReactNode; command?: string }[] = [
    { done: true, name: "A token", text: "You are signed in with one." },
    {
      done: runners.online > 0,
      name: "A runner",
      text:
        runners.online > 0
          ? `${plural(runners.online, "runner")} online.`
          : runners.total > 0
            ? "There is one, and it was not heard of lately. Start it again:"
            : "It executes runs in rootless Podman, on this machine or another.",
      command: "tstr run --grpc-addr http://HOST:9000 --token-file runner.token",
    },
    {
      done: tests.total > 0,
      name: "The first test",
      text: tests.total > 0 ? `${plural(tests.total, "test")}.` : "A container image, and when it runs.",
      command: `tstr ctl test apply --namespace ${ns} -f test.yaml`,
    },
  ];
  const left = steps.filter((step) => !step.done).length;
  return (
    <Panel
      title="Three steps to the first result"
      note={<span role="status">{left > 0 ? `${left} to go` : "all done"}</span>}
      pad
    >
      <ol className="flex flex-col gap-3 text-sm">
        {steps.map((step, index) => (
          <li key={step.name} className="flex items-start gap-3">
            <span className="mt-0.5">
              <StateIcon state={step.done ? "pass" : "never"} />
              <span className="visually-hidden">{step.done ? "Done:" : "To do:"}</span>
            </span>
            <div className="min-w-0 flex-1">
              <p>
                <span className="font-medium">
                  {index + 1}. {step.name}.
                </span>{" "}
                <span className="text-muted">{step.text}</span>
              </p>
              {step.command && !step.done ? (
                <div className="mt-1.5 max-w-xl">
                  <Command>{step.command}</Command>
                </div>
              ) : null}
            </div>
          </li>
        ))}
      </ol>
      {tests.total > 0 ? (
        <p className="mt-4 text-sm">
          No run of it has ended yet.{" "}
          <Link className="prose-link" to="/ns/$ns/tests" params={{ ns }}>
            Run it now
          </Link>{" "}
          or look at{" "}
          <Link className="prose-link" to="/ns/$ns/runs" params={{ ns }}>
            its runs
          </Link>
          : this goes away with the first result.
        </p>
      ) : null}
    </Panel>
  );
}
