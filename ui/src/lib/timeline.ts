import type { Schema } from "~/api/client";

/** A part of the life of a run. */
export interface Phase {
  kind: "queued" | "preparing" | "running" | "collecting";
  /** The attempt it belongs to; 0 while the run waits. */
  attempt: number;
  fromMs: number;
  toMs: number;
  /** It still goes on. */
  open: boolean;
}

type Timed = Pick<
  Schema["Run"],
  "state" | "created_at" | "leased_at" | "started_at" | "finished_at" | "attempts" | "attempt"
>;

/**
 * The phases of a run one after the other: waiting, what an attempt does before its container starts (the image is pulled
 * there), the container, and what is collected after its end. Between two attempts the run waits again.
 */
export function phases(run: Timed, now: Date): Phase[] {
  const end = run.finished_at ? Date.parse(run.finished_at) : now.getTime();
  const list: Phase[] = [];
  let at = Date.parse(run.created_at);
  const push = (kind: Phase["kind"], attempt: number, to: number, open = false) => {
    // Clocks of runners and of the server differ a little; a phase never goes backwards.
    const until = Math.max(at, Math.min(to, end));
    if (until > at || open) list.push({ kind, attempt, fromMs: at, toMs: until, open });
    at = until;
  };
  const attempts = run.attempts ?? [];
  for (const attempt of attempts) {
    push("queued", 0, Date.parse(attempt.leased_at));
    const isLast = attempt.attempt === run.attempt;
    const goesOn = !attempt.ended_at && !run.finished_at;
    if (!attempt.started_at) {
      push("preparing", attempt.attempt, attempt.ended_at ? Date.parse(attempt.ended_at) : end, goesOn);
      continue;
    }
    push("preparing", attempt.attempt, Date.parse(attempt.started_at));
    push("running", attempt.attempt, attempt.ended_at ? Date.parse(attempt.ended_at) : end, goesOn);
    if (isLast && attempt.ended_at && run.finished_at) push("collecting", attempt.attempt, end);
  }
  if (!run.finished_at && run.state === "queued") push("queued", 0, end, true);
  return list;
}
