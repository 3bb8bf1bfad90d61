import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { client } from "~/api/client";
import { identityQuery, mayControl } from "~/api/session";
import { newKey } from "~/lib/key";
import { plural } from "~/lib/numbers";
import { Button } from "~/parts/basics";
import { done, failed } from "~/parts/toast";

type Action = "run" | "pause" | "resume";

const SAYS: Record<Action, string> = { run: "started", pause: "paused", resume: "resumed" };

/** What can be done with several tests at once. */
export function Bulk({ ns, names, onDone }: { ns: string; names: string[]; onDone: () => void }) {
  const queries = useQueryClient();
  const { data: identity } = useQuery(identityQuery);
  const [busy, setBusy] = useState(false);
  const why = mayControl(identity) ? undefined : "This needs a token with the scope control";

  const all = async (action: Action) => {
    setBusy(true);
    let worked = 0;
    // One after the other: a hundred requests at once would only wait for each other, and the first refusal says enough.
    try {
      for (const test of names) {
        await act(action, ns, test);
        worked += 1;
      }
      done(`${plural(worked, "test")} ${SAYS[action]}`);
      onDone();
    } catch (thrown) {
      failed(`${plural(worked, "test")} of ${names.length} ${SAYS[action]}; then it failed`, thrown);
    } finally {
      setBusy(false);
      void queries.invalidateQueries();
    }
  };

  return (
    <div
      role="region"
      aria-label="Picked tests"
      className="panel flex flex-wrap items-center gap-2 px-3.5 py-2 text-sm"
    >
      <span className="mr-2 font-medium">{plural(names.length, "test")} picked</span>
      <Button icon="play" busy={busy} why={why} onClick={() => void all("run")}>
        Run
      </Button>
      <Button icon="pause" busy={busy} why={why} onClick={() => void all("pause")}>
        Pause
      </Button>
      <Button icon="play" busy={busy} why={why} onClick={() => void all("resume")}>
        Resume
      </Button>
      <Button kind="quiet" onClick={onDone}>
        Pick none
      </Button>
    </div>
  );
}

async function act(action: Action, namespace: string, test: string): Promise<void> {
  const params = { path: { namespace, test } };
  if (action === "run") {
    await client.POST("/api/v1/namespaces/{namespace}/tests/{test}/runs", {
      params: { ...params, header: { "Idempotency-Key": newKey() } },
    });
  } else if (action === "pause") {
    await client.POST("/api/v1/namespaces/{namespace}/tests/{test}/pause", { params });
  } else {
    await client.POST("/api/v1/namespaces/{namespace}/tests/{test}/resume", { params });
  }
}
