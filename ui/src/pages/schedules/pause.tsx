import { useQuery } from "@tanstack/react-query";
import { client, type Schema } from "~/api/client";
import { identityQuery, mayControl } from "~/api/session";
import { useAction } from "~/app/action";
import { useNs } from "~/app/namespace";
import { Button } from "~/parts/basics";

/** Stops the schedule of a test, or lets it go on. */
export function PauseButton({ test }: { test: Pick<Schema["TimetableTest"], "name" | "paused"> }) {
  const ns = useNs();
  const { data: identity } = useQuery(identityQuery);
  const params = { path: { namespace: ns, test: test.name } };
  const act = useAction({
    act: async () => {
      if (test.paused) await client.POST("/api/v1/namespaces/{namespace}/tests/{test}/resume", { params });
      else await client.POST("/api/v1/namespaces/{namespace}/tests/{test}/pause", { params });
    },
    says: test.paused ? `The schedule of ${test.name} goes on` : `The schedule of ${test.name} is paused`,
    fails: test.paused ? "Still paused" : "Not paused",
  });
  return (
    <Button
      kind="quiet"
      icon={test.paused ? "play" : "pause"}
      busy={act.isPending}
      why={mayControl(identity) ? undefined : "This needs a token with the scope control"}
      onClick={() => act.mutate()}
    >
      {test.paused ? "Resume" : "Pause"}
      <span className="visually-hidden"> {test.name}</span>
    </Button>
  );
}
