import { instant, text, texts, whole, word, words } from "~/lib/search";

// What may stand behind `?` of each page. The address is the only place where filters live, so that Back works and a
// link shows another person the same. What a page does not know is dropped.
type Raw = Record<string, unknown>;

/** Makes every parameter one that a link may leave out. */
function optional<T extends object>(read: (raw: Raw) => T): (raw: Raw) => { [K in keyof T]?: T[K] } {
  return read;
}

/** The results of runs. */
export const RESULTS = ["pass", "fail", "error", "timed_out", "cancelled"] as const;
/** The states of runs. */
export const STATES = ["queued", "leased", "running", "finished"] as const;
/** Ranges of time that pages offer. */
export const RANGES = ["24h", "7d", "30d"] as const;
/** One of the ranges. */
export type Range = (typeof RANGES)[number];

/** `/signin` */
export const signinSearch = optional((raw) => ({ to: text(raw.to) }));

/** The dashboard. A span of time stands in the place of a range. */
export const dashboardSearch = optional((raw) => ({
  range: word(raw.range, RANGES),
  after: instant(raw.after),
  before: instant(raw.before),
}));

/** How lists of tests can be ordered. */
export const TEST_SORTS = ["worst", "name", "pass_rate", "latest", "next"] as const;
/** What a test can be by its latest runs. */
export const TEST_STATES = ["broken", "failing", "flaky", "healthy", "never"] as const;

/** The list of tests. */
export const testsSearch = optional((raw) => ({
  q: text(raw.q),
  label: texts(raw.label),
  owner: text(raw.owner),
  state: words(raw.state, TEST_STATES),
  paused: word(raw.paused, ["true", "false"]),
  schedule: word(raw.schedule, ["yes", "no"]),
  facets: word(raw.facets, ["on"]),
  sort: word(raw.sort, TEST_SORTS),
}));

/** The tabs of a test. */
export const TEST_TABS = [
  "overview",
  "runs",
  "cases",
  "failures",
  "analysis",
  "metrics",
  "config",
  "schedule",
  "quarantine",
] as const;

/** A test. */
export const testSearch = optional((raw) => ({
  tab: word(raw.tab, TEST_TABS),
  days: whole(raw.days),
  cell: text(raw.cell),
  q: text(raw.q),
  standing: word(raw.standing, ["new", "still_failing", "fixed", "passing", "skipped", "missing", "removed"]),
  case: text(raw.case),
  view: word(raw.view, ["list"]),
  slowest: word(raw.slowest, ["true"]),
  a: whole(raw.a),
  b: whole(raw.b),
  result: words(raw.result, RESULTS),
  after: instant(raw.after),
  before: instant(raw.before),
}));

/** Ranges of the list of runs, where an hour is much. */
export const RUN_RANGES = ["1h", ...RANGES] as const;

/** The list of runs. A range ends now; a span of time stands in its place. */
export const runsSearch = optional((raw) => ({
  range: word(raw.range, RUN_RANGES),
  test: text(raw.test),
  runner: text(raw.runner),
  state: words(raw.state, STATES),
  result: words(raw.result, RESULTS),
  label: texts(raw.label),
  matrix: text(raw.matrix),
  kept: word(raw.kept, ["true", "false"]),
  after: instant(raw.after),
  before: instant(raw.before),
}));

/** The tabs of a run. */
export const RUN_TABS = ["log", "cases", "data", "artifacts", "summary", "spec", "events"] as const;

/** A run. */
export const runSearch = optional((raw) => ({
  tab: word(raw.tab, RUN_TABS),
  attempt: whole(raw.attempt),
  status: word(raw.status, ["pass", "fail", "error", "skip"]),
  q: text(raw.q),
  case: text(raw.case),
  file: text(raw.file),
}));

/** Two runs side by side. */
export const compareSearch = optional((raw) => ({
  a: text(raw.a),
  b: text(raw.b),
  anyway: word(raw.anyway, ["true"]),
}));

/** The queue: which placement class is open, and which of its runs are looked for. */
export const queueSearch = optional((raw) => ({ class: text(raw.class), q: text(raw.q) }));

/** The runners. */
export const runnersSearch = optional((raw) => ({
  q: text(raw.q),
  state: word(raw.state, ["live", "draining", "offline"]),
}));

/** The schedules. */
export const schedulesSearch = optional((raw) => ({
  q: text(raw.q),
  view: word(raw.view, ["agenda", "week"]),
}));

/** Administration. */
export const adminSearch = optional((raw) => ({
  tab: word(raw.tab, ["tokens", "namespaces", "system"]),
  expired: word(raw.expired, ["true"]),
  revoked: word(raw.revoked, ["true"]),
}));
