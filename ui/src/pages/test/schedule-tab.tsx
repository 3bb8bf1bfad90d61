import type { Schema } from "~/api/client";
import { useNs } from "~/app/namespace";
import { Empty, Panel } from "~/parts/basics";
import { Ledger, Upcoming } from "~/parts/schedule";

/** When a test runs next, and what became of the instants before. */
export function ScheduleTab({ test }: { test: Schema["TestDef"] }) {
  const ns = useNs();
  if (!test.cron_schedule) {
    return (
      <Panel>
        <Empty
          title="This test has no schedule"
          command={`tstr ctl test apply --namespace ${ns} -f test.yaml`}
        >
          Add a line such as <code className="code">cron_schedule: "*/15 * * * *"</code> to its file and apply
          it.
        </Empty>
      </Panel>
    );
  }
  return (
    <div className="grid items-start gap-4 lg:grid-cols-2">
      <Panel title="Next">
        <Upcoming test={test.name} cron={test.cron_schedule} />
      </Panel>
      <Panel title="What became of the instants before">
        <Ledger test={test.name} />
      </Panel>
    </div>
  );
}
