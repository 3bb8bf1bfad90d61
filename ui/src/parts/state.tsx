import type { ReactNode } from "react";
import type { Schema } from "~/api/client";

/** Every word that a state icon knows: the states and results of runs, the statuses of tests and cases, and runners. */
export type StateWord =
  | Schema["RunResult"]
  | Schema["RunState"]
  | Schema["Status"]
  | Schema["CaseStatus"]
  | "muted"
  | "cancelling"
  | "never";

interface Look {
  /** The word that people read. */
  label: string;
  /** A colour of the theme; see `TEXT` for its class. */
  tone: Tone;
  /** A shape of its own for each state: colour alone tells nothing to many. */
  shape: ReactNode;
}

/** A colour with a meaning. */
export type Tone = "pass" | "fail" | "error" | "warn" | "idle" | "accent";

/** The classes of the tones: Tailwind finds only names that are written out. */
export const TEXT: Record<Tone, string> = {
  pass: "text-pass",
  fail: "text-fail",
  error: "text-error",
  warn: "text-warn",
  idle: "text-idle",
  accent: "text-accent",
};

/** The same for soft backgrounds. */
export const SOFT: Record<Tone, string> = {
  pass: "bg-pass-soft text-pass",
  fail: "bg-fail-soft text-fail",
  error: "bg-error-soft text-error",
  warn: "bg-warn-soft text-warn",
  idle: "bg-idle-soft text-idle",
  accent: "bg-accent-soft text-accent",
};

const stroke = { fill: "none", stroke: "currentColor", strokeWidth: 1.8, strokeLinecap: "round" } as const;
const onFill = { ...stroke, stroke: "var(--surface)" } as const;
const disc = <circle cx="8" cy="8" r="7" fill="currentColor" />;
const ring = <circle cx="8" cy="8" r="6.1" {...stroke} />;

const check = (
  <>
    {disc}
    <path d="M4.9 8.3l2.1 2.1 4.1-4.6" {...onFill} strokeLinejoin="round" />
  </>
);
const cross = (
  <>
    <rect x="1" y="1" width="14" height="14" rx="2.5" fill="currentColor" />
    <path d="M5.2 5.2l5.6 5.6M10.8 5.2l-5.6 5.6" {...onFill} />
  </>
);
const diamond = (
  <>
    <path d="M8 .6L15.4 8 8 15.4.6 8z" fill="currentColor" />
    <path d="M8 4.4v4.2M8 11.2v.1" {...onFill} />
  </>
);
const clockFace = (
  <>
    {ring}
    <path d="M8 4.6V8l2.4 1.6" {...stroke} />
  </>
);
const slash = (
  <>
    {ring}
    <path d="M3.9 12.1l8.2-8.2" {...stroke} />
  </>
);
const triangle = (
  <>
    <path d="M8 1.2l7.2 13H.8z" fill="currentColor" />
    <path d="M8 6.2v3.4M8 12v.1" {...onFill} />
  </>
);
const dots = (
  <>
    <circle cx="3" cy="8" r="1.6" fill="currentColor" />
    <circle cx="8" cy="8" r="1.6" fill="currentColor" />
    <circle cx="13" cy="8" r="1.6" fill="currentColor" />
  </>
);
const arc = (
  <path
    d="M8 1.9a6.1 6.1 0 1 1-6.1 6.1"
    {...stroke}
    className="origin-center animate-[spin_1.4s_linear_infinite]"
  />
);

const LOOKS: Record<StateWord, Look> = {
  pass: { label: "Pass", tone: "pass", shape: check },
  fail: { label: "Fail", tone: "fail", shape: cross },
  error: { label: "Error", tone: "error", shape: diamond },
  timed_out: { label: "Timed out", tone: "warn", shape: clockFace },
  cancelled: { label: "Cancelled", tone: "idle", shape: slash },
  queued: { label: "Queued", tone: "idle", shape: dots },
  leased: { label: "Leased", tone: "accent", shape: arc },
  running: { label: "Running", tone: "accent", shape: arc },
  cancelling: { label: "Cancelling", tone: "idle", shape: arc },
  finished: { label: "Finished", tone: "idle", shape: ring },
  healthy: { label: "Healthy", tone: "pass", shape: check },
  flaky: { label: "Flaky", tone: "warn", shape: triangle },
  broken: { label: "Broken", tone: "fail", shape: cross },
  skip: { label: "Skipped", tone: "idle", shape: slash },
  muted: { label: "Muted", tone: "idle", shape: slash },
  never: { label: "No runs", tone: "idle", shape: ring },
};

/** The word for a state that people read. */
export function stateLabel(state: StateWord): string {
  return LOOKS[state]?.label ?? state;
}

/** The tone of a state. */
export function stateTone(state: StateWord): Tone {
  return LOOKS[state]?.tone ?? "idle";
}

/** The shape of a state. Beside its word it is decoration; alone it is an image that says the word. */
export function StateIcon({
  state,
  alone = false,
  size = 14,
}: {
  state: StateWord;
  alone?: boolean;
  size?: number;
}) {
  const look = LOOKS[state] ?? LOOKS.finished;
  const label = alone ? { role: "img", "aria-label": look.label } : { "aria-hidden": true };
  return (
    <svg viewBox="0 0 16 16" width={size} height={size} className={`shrink-0 ${TEXT[look.tone]}`} {...label}>
      {alone ? <title>{look.label}</title> : null}
      {look.shape}
    </svg>
  );
}

/** A state as shape, word and colour. */
export function State({ state, children }: { state: StateWord; children?: ReactNode }) {
  return (
    <span
      className={`inline-flex items-center gap-1.5 whitespace-nowrap font-medium ${TEXT[stateTone(state)]}`}
    >
      <StateIcon state={state} />
      {children ?? stateLabel(state)}
    </span>
  );
}

/** The word that says most about a run: its result, or where it stands. */
export function runWord(run: Pick<Schema["Run"], "state" | "result" | "cancel_requested">): StateWord {
  if (run.result) return run.result;
  return run.cancel_requested ? "cancelling" : run.state;
}

/** A small coloured word, such as «flaky» beside a name. */
export function Badge({ tone, children, title }: { tone: Tone; children: ReactNode; title?: string }) {
  return (
    <span
      className={`inline-flex items-center gap-1 rounded px-1.5 text-xs font-medium whitespace-nowrap ${SOFT[tone]}`}
      title={title}
    >
      {children}
    </span>
  );
}
