import { useLocation, useNavigate } from "@tanstack/react-router";
import { apiUrl, type Schema } from "~/api/client";
import { formatAnchor, parseAnchor } from "~/lib/anchor";
import { bytes } from "~/lib/numbers";
import { LogView } from "~/log/LogView";
import { Copy, Empty } from "~/parts/basics";
import { Icon } from "~/parts/icons";
import { Time } from "~/parts/time";

/** The log of an attempt, with what is wrong with it, and its lines in the address. */
export function LogTab({ run, attempt }: { run: Schema["Run"]; attempt: number }) {
  const navigate = useNavigate({ from: "/ns/$ns/runs/$run" });
  const hash = useLocation({ select: (location) => location.hash });
  const of = run.attempts?.find((each) => each.attempt === attempt);
  const log = of?.log ?? run.log;
  if (log.removed_at) {
    return (
      <Empty title="This log was removed by retention">
        It was removed on <Time at={log.removed_at} how="absolute" />; {bytes(log.bytes)} had been stored. The
        run itself stays.
      </Empty>
    );
  }
  return (
    <>
      <div className="flex flex-wrap items-center gap-x-4 gap-y-1 border-b px-3.5 py-1.5 text-sm">
        <span className="text-muted">{bytes(log.bytes)}</span>
        {log.status === "truncated" ? (
          <span className="text-warn">
            cut at its limit: {bytes(log.dropped_bytes)} of {bytes(log.bytes + log.dropped_bytes)} are missing
          </span>
        ) : null}
        {log.status === "incomplete" ? (
          <span className="text-warn">incomplete: its end never came</span>
        ) : null}
        {log.message ? <span className="text-warn wrap-anywhere">{log.message}</span> : null}
        <span className="ml-auto flex items-center gap-1">
          <a
            className="btn btn-quiet"
            href={apiUrl(`/runs/${run.id}/logs`, { attempt })}
            download={`${run.test_name}-${run.id}.log.jsonl`}
          >
            <Icon name="download" size={14} /> Raw
          </a>
          <Copy text={`tstr ctl logs ${run.id}`} label="Copy the command for this log" />
        </span>
      </div>
      <LogView
        runId={run.id}
        attempt={attempt}
        live={!of?.ended_at && run.state !== "finished"}
        failed={!["pass", undefined].includes(of?.result ?? run.result)}
        bytes={log.bytes}
        anchor={parseAnchor(hash)}
        onAnchor={(anchor) =>
          void navigate({
            // The lines are those of this attempt; another one may be the latest when somebody follows the link.
            search: (before) => ({ ...before, attempt }),
            hash: anchor ? formatAnchor(anchor) : "",
            hashScrollIntoView: false,
            resetScroll: false,
            replace: true,
          })
        }
      />
    </>
  );
}
