import type { Schema } from "~/api/client";
import { toYaml } from "~/lib/yaml";
import { Copy } from "~/parts/basics";

/** What was executed, as it was when the run was made. */
export function Spec({ run }: { run: Schema["Run"] }) {
  const text = toYaml({
    labels: run.labels,
    annotations: run.annotations,
    cell: run.cell,
    run_config: run.run_config,
    priority: run.priority,
  });
  return (
    <div className="relative">
      <div className="absolute top-2 right-2">
        <Copy text={text} label="Copy as YAML" />
      </div>
      <section className="overflow-x-auto p-4" tabIndex={0} aria-label="The spec as YAML">
        <pre className="code leading-5">{text}</pre>
      </section>
    </div>
  );
}
