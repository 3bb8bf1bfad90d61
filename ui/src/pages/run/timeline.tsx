import type { Schema } from "~/api/client";
import { useNow } from "~/app/clock";
import { duration } from "~/lib/time";
import { type Phase, phases } from "~/lib/timeline";

const WORDS: Record<Phase["kind"], string> = {
  queued: "queued",
  preparing: "preparing",
  running: "running",
  collecting: "collecting",
};

/** Patterns besides colours: waiting is hollow, preparing is striped, running is full. */
const LOOKS: Record<Phase["kind"], string> = {
  queued: "border border-edge bg-transparent",
  preparing: "bg-edge",
  running: "bg-accent",
  collecting: "bg-edge",
};

/** Where the time of a run went. */
export function Timeline({ run }: { run: Schema["Run"] }) {
  const now = useNow(!run.finished_at);
  const list = phases(run, now);
  const total = list.reduce((sum, phase) => sum + phase.toMs - phase.fromMs, 0);
  if (list.length === 0) return null;
  const manyAttempts = new Set(list.map((phase) => phase.attempt).filter(Boolean)).size > 1;
  return (
    <div className="flex flex-col gap-2">
      <div className="flex h-2.5 gap-0.5" aria-hidden="true">
        {list.map((phase, index) => (
          <span
            key={index}
            className={`min-w-1 rounded-sm ${LOOKS[phase.kind]} ${phase.open ? "animate-pulse" : ""}`}
            style={{ flexGrow: total > 0 ? (phase.toMs - phase.fromMs) / total : 1, flexBasis: 0 }}
          />
        ))}
      </div>
      <ol className="flex flex-wrap gap-x-4 gap-y-1 text-sm" aria-label="Where the time went">
        {list.map((phase, index) => (
          <li key={index} className="flex items-center gap-1.5 whitespace-nowrap">
            <span className={`size-2 rounded-xs ${LOOKS[phase.kind]}`} aria-hidden="true" />
            <span className="text-muted">
              {WORDS[phase.kind]}
              {manyAttempts && phase.attempt > 0 ? ` (attempt ${phase.attempt})` : ""}
            </span>
            <span className="font-medium">{duration(phase.toMs - phase.fromMs)}</span>
          </li>
        ))}
        <li className="ml-auto whitespace-nowrap text-muted">
          in all <span className="font-medium text-ink">{duration(total)}</span>
        </li>
      </ol>
    </div>
  );
}
