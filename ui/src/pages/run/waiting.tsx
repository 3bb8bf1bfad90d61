import { useQuery } from "@tanstack/react-query";
import { api, type Schema } from "~/api/client";
import { isPaused } from "~/api/live";
import { Panel } from "~/parts/basics";
import { Explained } from "~/parts/explained";
import { Loaded } from "~/parts/loaded";

/** Why a run waits, as long as it does. */
export function Waiting({ run }: { run: Schema["Run"] }) {
  const query = useQuery({
    ...api.queryOptions("get", "/api/v1/runs/{run}/explain", { params: { path: { run: run.id } } }),
    refetchInterval: () => (isPaused() ? false : 5_000),
  });
  return (
    <Panel title="Why it waits" pad>
      <Loaded query={query} what="Why it waits">
        {(explanation) => <Explained explanation={explanation} />}
      </Loaded>
    </Panel>
  );
}
