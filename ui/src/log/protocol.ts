import type { Look } from "./colours";
import type { Annotation, Level } from "./marks";
import type { Query } from "./search";
import type { Choice } from "./view";

export const STREAMS = ["stdout", "stderr", "system"] as const;
/** The streams of a container, and what this viewer says itself. */
export type StreamName = (typeof STREAMS)[number];

/** How much of a log is kept; the oldest lines go first. */
export const LIMITS = { bytes: 100 * 1024 * 1024, lines: 2_000_000 };

/** An `ApiError` on its way between a worker and a page, which cannot carry classes. */
export interface PlainError {
  status: number;
  code: string;
  title: string;
  detail: string;
  traceId?: string;
  retryable: boolean;
}

/** Where a log stands, for the page. */
export interface LogState {
  phase: "loading" | "following" | "reconnecting" | "done" | "failed";
  error?: PlainError;
  /** Rows that the choice makes. */
  rows: number;
  /** Lines in all, those that have not ended included. */
  lines: number;
  /** Lines that the choice leaves. */
  shown: number;
  /** The first line that is kept; those before were let go. */
  first: number;
  /** Bytes that have been read. */
  bytes: number;
  perStream: number[];
  /** When the first line was written. */
  startedAt: number;
  annotations: Annotation[];
  totals: Record<Level, number>;
  firstError?: number;
  groups: number;
  /** Which choice the rows are of. */
  choice: number;
}

export const NOTHING: LogState = {
  phase: "loading",
  rows: 0,
  lines: 0,
  shown: 0,
  first: 0,
  bytes: 0,
  perStream: [0, 0, 0],
  startedAt: 0,
  annotations: [],
  totals: { error: 0, warning: 0, notice: 0 },
  groups: 0,
  choice: 0,
};

/** A piece of a line with how it is drawn. */
export interface Drawn {
  text: string;
  className?: string;
  style?: Look["style"];
  href?: string;
}

/** A row to draw: a line, or a part of it. */
export interface ShownRow {
  row: number;
  /** Counted from 0. */
  line: number;
  part: number;
  pieces: Drawn[];
  stream: number;
  time: number;
  isOpen: boolean;
  /** Of the first line of a group: how many lines it has, and whether they are folded. */
  group?: { lines: number; isFolded: boolean };
}

/** How a page opens a log. `from` is given for one that is too large: only its bytes from there on are read. */
export interface Opening {
  url: string;
  isLive: boolean;
  from?: number;
}

/** What a page may ask. */
export type Request =
  | ({ kind: "open" } & Opening)
  | { kind: "live"; isLive: boolean }
  | { kind: "hold"; isHeld: boolean }
  | { kind: "retry" }
  | { kind: "choose"; id: number; choice: Choice }
  | { kind: "rows"; id: number; from: number; to: number }
  | { kind: "find"; id: number; query: Query | undefined }
  /** The row of a line; or of the first error behind a line. */
  | { kind: "locate"; id: number; line: number; what: "line" | "error" };

/** What the worker tells. */
export type Answer =
  | { kind: "state"; state: LogState }
  | { kind: "rows"; id: number; choice: number; first: number; rows: ShownRow[] }
  /** Lines that match, behind those told before. */
  | { kind: "found"; id: number; lines: Uint32Array; isDone: boolean; error?: string }
  | { kind: "located"; id: number; line?: number; row?: number; fold?: number };
