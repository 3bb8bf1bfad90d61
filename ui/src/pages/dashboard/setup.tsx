import { Command, Panel } from "~/parts/basics";
import { StateIcon } from "~/parts/state";

/** What an empty namespace needs; the steps tick themselves off as they are done. */
export function Setup({ runners }: { runners: number }) {
  const steps = [
    { done: true, name: "A token", text: "You are signed in with one.", command: undefined },
    {
      done: runners > 0,
      name: "A runner",
      text:
        runners > 0 ? "There is one." : "It executes runs in rootless Podman, on this machine or another.",
      command: "tstr run --grpc-addr http://HOST:9000 --token-file runner.token",
    },
    {
      done: false,
      name: "The first test",
      text: "A container image, and when it runs.",
      command: "tstr ctl test apply -f test.yaml",
    },
  ];
  return (
    <Panel title="Three steps to the first result" pad>
      <ol className="flex flex-col gap-3 text-sm">
        {steps.map((step, index) => (
          <li key={step.name} className="flex items-start gap-3">
            <span className="mt-0.5">
              <StateIcon state={step.done ? "pass" : "never"} alone />
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
    </Panel>
  );
}
