import { apiUrl } from "~/api/client";
import { makeStore } from "~/lib/store";
import { workerUrl } from "~/lib/trusted";
import logWorker from "./log.worker?worker&url";
import { type Answer, type LogState, NOTHING, type Request, type ShownRow } from "./protocol";
import type { Query } from "./search";
import type { Choice } from "./view";

/** What has been found so far. */
export interface Found {
  lines: number[];
  isDone: boolean;
  error?: string;
}

/** Where something stands. `fold` is the group that has to be unfolded first. */
export interface Located {
  line?: number;
  row?: number;
  fold?: number;
}

/** An expression can take for ever; then the worker is given up, and the log read anew. */
const PATIENCE_MS = 8_000;
const NONE: Found = { lines: [], isDone: true };

/** The page's side of the worker: one for each attempt that is shown. */
export class LogClient {
  readonly state = makeStore<LogState>(NOTHING);
  readonly rows = makeStore<readonly ShownRow[]>([]);
  readonly found = makeStore<Found>(NONE);
  private worker: Worker | undefined;
  private ids = 0;
  private choiceId = 0;
  private choice: Choice | undefined;
  private findId = 0;
  private patience: ReturnType<typeof setTimeout> | undefined;
  private isAsking = false;
  private wanted: { from: number; to: number } | undefined;
  private rowsOf = "";
  private lastWanted: { from: number; to: number } | undefined;
  private readonly located = new Map<number, (located: Located) => void>();
  private isHeld = false;

  constructor(
    private readonly path: { runId: string; attempt: number },
    private isLive: boolean,
    private readonly from: number | undefined,
  ) {}

  /** Starts reading. Returns how to end it. */
  start(): () => void {
    try {
      this.worker = new Worker(workerUrl(logWorker), { type: "module", name: "tstr-log" });
    } catch (thrown) {
      this.fail("This browser gives the page no worker", String(thrown));
      return () => {};
    }
    this.worker.onmessage = ({ data }: MessageEvent<Answer>) => this.take(data);
    this.worker.onerror = () => this.fail("The log viewer stopped", "Its worker failed.");
    const { runId, attempt } = this.path;
    const url = new URL(apiUrl(`/runs/${runId}/logs`, { attempt }), location.origin).href;
    this.send({
      kind: "open",
      url,
      isLive: this.isLive,
      ...(this.from === undefined ? {} : { from: this.from }),
    });
    this.send({ kind: "hold", isHeld: this.isHeld });
    if (this.choice) this.send({ kind: "choose", id: this.choiceId, choice: this.choice });
    return () => this.stop();
  }

  setLive(isLive: boolean): void {
    if (this.isLive === isLive) return;
    this.isLive = isLive;
    this.send({ kind: "live", isLive });
  }

  hold(isHeld: boolean): void {
    if (this.isHeld === isHeld) return;
    this.isHeld = isHeld;
    this.send({ kind: "hold", isHeld });
  }

  retry(): void {
    if (this.worker) this.send({ kind: "retry" });
    else this.start();
  }

  choose(choice: Choice): void {
    this.choice = choice;
    this.choiceId += 1;
    this.send({ kind: "choose", id: this.choiceId, choice });
  }

  /**
   * Asks for rows, unless they are there: a log only grows, so rows stay what they are. They come in `rows`. One question
   * at a time: what was wanted meanwhile is asked for next, once.
   */
  want(from: number, to: number): void {
    if (!this.isAsking && this.has(from, to)) return;
    this.wantAnew(from, to);
  }

  private has(from: number, to: number): boolean {
    const rows = this.rows.get();
    const [first, last] = [rows[0], rows.at(-1)];
    if (!first || !last || first.row > from || last.row < to - 1) return false;
    return this.rowsOf === this.viewId(this.state.get().first) && !rows.some((row) => row.isOpen);
  }

  /** The same rows show the same lines while this is the same. */
  private viewId(first: number): string {
    return `${this.choiceId} ${first}`;
  }

  private wantAnew(from: number, to: number): void {
    this.wanted = { from, to };
    this.lastWanted = this.wanted;
    if (!this.isAsking) this.ask();
  }

  /** Begins a search, or ends it. */
  find(query: Query | undefined): void {
    this.findId = ++this.ids;
    this.found.set(query ? { lines: [], isDone: false } : NONE);
    clearTimeout(this.patience);
    if (query) this.bePatient();
    this.send({ kind: "find", id: this.findId, query });
    // Rows are drawn with what was found in them.
    if (this.lastWanted) this.wantAnew(this.lastWanted.from, this.lastWanted.to);
  }

  locate(line: number, what: "line" | "error" = "line"): Promise<Located> {
    const id = ++this.ids;
    return new Promise((done) => {
      this.located.set(id, done);
      this.send({ kind: "locate", id, line, what });
    });
  }

  private ask(): void {
    if (!this.wanted || !this.worker) return;
    this.isAsking = true;
    this.send({ kind: "rows", id: ++this.ids, ...this.wanted });
    this.wanted = undefined;
  }

  private take(answer: Answer): void {
    switch (answer.kind) {
      case "state":
        this.state.set(answer.state);
        break;
      case "rows":
        this.isAsking = false;
        if (answer.choice === this.choiceId) {
          this.rowsOf = this.viewId(answer.first);
          this.rows.set(answer.rows);
        }
        this.ask();
        break;
      case "found":
        this.takeFound(answer);
        break;
      case "located": {
        const { id, kind: _, ...located } = answer;
        this.located.get(id)?.(located);
        this.located.delete(id);
        break;
      }
    }
  }

  private takeFound({ id, lines, isDone, error }: Extract<Answer, { kind: "found" }>): void {
    if (id !== this.findId) return;
    clearTimeout(this.patience);
    if (!isDone) this.bePatient();
    const before = this.found.get().lines;
    // Written in place: a million lines must not be copied for each block of them.
    for (const line of lines) before.push(line);
    this.found.set({ lines: before, isDone, ...(error ? { error } : {}) });
  }

  private bePatient(): void {
    this.patience = setTimeout(() => {
      this.stop();
      this.state.set(NOTHING);
      this.start();
      this.found.set({ lines: [], isDone: true, error: "the expression takes too long" });
    }, PATIENCE_MS);
  }

  private send(request: Request): void {
    this.worker?.postMessage(request);
  }

  private stop(): void {
    clearTimeout(this.patience);
    this.worker?.terminate();
    this.worker = undefined;
    this.isAsking = false;
  }

  private fail(title: string, detail: string): void {
    this.stop();
    this.state.set({
      ...this.state.get(),
      phase: "failed",
      error: { status: 0, code: "not_a_problem", title, detail, retryable: true },
    });
  }
}
