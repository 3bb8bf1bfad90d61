import { bytesOf, type LogEntry, readBytes, readEntries } from "~/api/log";
import type { ApiError } from "~/api/problem";
import { bytes as bytesInWords } from "~/lib/numbers";
import type { Piece } from "./decorate";
import { Lines } from "./lines";
import { partOf, piecesOf } from "./pieces";
import {
  type Answer,
  LIMITS,
  type LogState,
  type Opening,
  type PlainError,
  type Request,
  type ShownRow,
  STREAMS,
} from "./protocol";
import { expression, isOfStreams, MAX_FOUND, matches, type Query } from "./search";
import { follow, type Phase, type Source } from "./tail";
import { type Choice, EVERYTHING, firstAtLeast, groupAt, View } from "./view";

/** How often a page is told of what has been read. */
const TELL_MS = 60;
/** How long the worker does one thing before it looks whether the page has asked another. */
const SLICE_MS = 12;
const FOUND_TELL_MS = 500;
const MAX_ROWS = 1_000;

/** Everything that the worker of the log viewer does: reads the log, keeps its lines, and answers what the page asks. */
export class Engine {
  private log: Lines;
  private view: View;
  private choice: Choice = EVERYTHING;
  private choiceId = 0;
  private opening: Opening | undefined;
  private stop = new AbortController();
  private isLive = false;
  private isHeld = false;
  private phase: Phase = { name: "loading" };
  private after: number | undefined;
  private bytes = 0;
  private told: ReturnType<typeof setTimeout> | undefined;
  private sliceBegan = 0;
  private readonly waiting = new Set<() => void>();
  private search: { id: number; query: Query; next: number; found: number } | undefined;
  private pattern: RegExp | undefined;
  private isSearching = false;
  private foundTold = 0;
  private readonly encoder = new TextEncoder();

  constructor(
    private readonly tell: (answer: Answer, transfer?: Transferable[]) => void,
    private readonly limits = LIMITS,
  ) {
    this.log = new Lines(limits);
    this.view = new View(this.log);
  }

  /** Takes what a page asks. */
  take(request: Request): void {
    switch (request.kind) {
      case "open":
        this.open(request);
        break;
      case "live":
        this.isLive = request.isLive;
        // An attempt that goes on, or that has ended: either way the log is asked for once more.
        if (request.isLive && this.phase.name === "done") this.read();
        this.wake();
        break;
      case "hold":
        this.isHeld = request.isHeld;
        this.wake();
        break;
      case "retry":
        this.read();
        break;
      case "choose":
        this.choice = request.choice;
        this.choiceId = request.id;
        this.view.choose(request.choice);
        this.tellState();
        break;
      case "rows":
        this.tell({
          kind: "rows",
          id: request.id,
          choice: this.choiceId,
          first: this.log.first,
          rows: this.rows(request.from, request.to),
        });
        break;
      case "find":
        this.startSearch(request.id, request.query);
        break;
      case "locate":
        this.locate(request.id, request.line, request.what);
        break;
    }
  }

  /** Stops all reading. */
  close(): void {
    this.stop.abort();
    clearTimeout(this.told);
    this.wake();
  }

  private open(opening: Opening): void {
    this.opening = opening;
    this.isLive = opening.isLive;
    this.log = new Lines(this.limits);
    this.view = new View(this.log, this.choice);
    this.after = undefined;
    this.bytes = 0;
    this.read();
  }

  private read(): void {
    this.stop.abort();
    this.stop = new AbortController();
    this.wake();
    void follow(this.source(), this.stop.signal);
  }

  private source(): Source {
    return {
      more: (signal) => this.more(signal),
      isLive: () => this.isLive,
      sleep: (ms, signal) => this.sleep(ms, signal),
      whileHeld: async (signal) => {
        while (this.isHeld && !signal.aborted) await this.sleep(60_000, signal);
      },
      tell: (phase) => {
        const isNew = phase.name !== this.phase.name;
        this.phase = phase;
        if (phase.name === "done") this.log.end();
        if (isNew || phase.name === "done") this.tellState();
        this.goOnSearching();
      },
    };
  }

  private async more(signal: AbortSignal): Promise<boolean> {
    const { url, from } = this.opening!;
    let hasMore = false;
    const took = (size: number) => {
      hasMore = true;
      this.bytes += size;
      this.tellSoon();
      return this.breathe();
    };
    if (from !== undefined) {
      await readBytes(
        url,
        from + this.bytes,
        (bytes) => {
          this.log.append(0, bytes, 0);
          return took(bytes.length);
        },
        signal,
      );
      return hasMore;
    }
    await readEntries(
      url,
      this.after,
      (entry) => {
        // A server that answers more than was asked for must not double a line.
        if (signal.aborted || (this.after !== undefined && entry.seq <= this.after)) return;
        const bytes = this.put(entry);
        this.after = entry.seq;
        return took(bytes);
      },
      signal,
    );
    return hasMore;
  }

  private put(entry: LogEntry): number {
    const stream = entry.stream === "stderr" ? 1 : 0;
    const time = this.timeOf(entry.time);
    if (entry.cut_bytes) {
      this.log.flush(stream);
      const much = bytesInWords(entry.cut_bytes);
      this.log.say(`${much} of ${STREAMS[stream]} are missing here: the log passed its limit`, time);
    }
    const bytes = bytesOf(entry, this.encoder);
    this.log.append(stream, bytes, time);
    return bytes.length;
  }

  private lastTime: [text: string, time: number] = ["", 0];

  private timeOf(text: string): number {
    if (this.lastTime[0] !== text) this.lastTime = [text, Date.parse(text)];
    return this.lastTime[1];
  }

  private rows(from: number, to: number): ShownRow[] {
    const rows: ShownRow[] = [];
    const end = Math.min(to, this.view.rows, from + MAX_ROWS);
    const wrapAt = this.choice.columns;
    // The pieces of a long line are made once, however many rows it has.
    let whole: Piece[] = [];
    for (let row = Math.max(0, from); row < end; row++) {
      const at = this.view.row(row);
      if (!at) break;
      const before = rows.at(-1);
      if (before && before.line === at.line) {
        rows.push({ ...before, row, part: at.part, pieces: partOf(whole, at.part, wrapAt) });
        continue;
      }
      const found = this.log.line(at.line);
      if (!found) continue;
      const { text, sgr, ...line } = found;
      whole = piecesOf(text, sgr, this.pattern);
      rows.push({
        row,
        part: at.part,
        ...line,
        ...this.groupOf(at.line),
        pieces: partOf(whole, at.part, wrapAt),
      });
    }
    return rows;
  }

  private groupOf(line: number): Pick<ShownRow, "group"> {
    const group = groupAt(this.log.marks.groups, line);
    if (group?.line !== line) return {};
    const end = Math.min(group.end, this.log.count);
    const lines = Math.max(0, end - line - 1 - (this.log.marks.ends.has(group.end - 1) ? 1 : 0));
    return { group: { lines, isFolded: this.choice.isFolded !== this.choice.others.includes(line) } };
  }

  private locate(id: number, line: number, what: "line" | "error"): void {
    // The page must know of the rows before it goes to one of them.
    this.tellState();
    let wanted: number | undefined = line;
    if (what === "error") {
      const { errors } = this.log.marks;
      wanted = errors[firstAtLeast(errors, errors.length, line + 1)] ?? this.firstError();
    }
    if (wanted === undefined) {
      this.tell({ kind: "located", id });
      return;
    }
    const fold = this.view.foldOf(wanted);
    this.tell({
      kind: "located",
      id,
      line: wanted,
      row: this.view.rowOf(wanted),
      ...(fold === undefined ? {} : { fold }),
    });
  }

  /** The first error whose line is still kept. */
  private firstError(): number | undefined {
    const { errors } = this.log.marks;
    return errors[firstAtLeast(errors, errors.length, this.log.first)];
  }

  private startSearch(id: number, query: Query | undefined): void {
    this.search = undefined;
    this.pattern = undefined;
    if (!query) return;
    try {
      this.pattern = expression(query);
    } catch (thrown) {
      const text = thrown instanceof Error ? thrown.message : String(thrown);
      const error = text.replace(/^Invalid regular expression: (\/.*\/\w*: )?/, "");
      this.tell({ kind: "found", id, lines: new Uint32Array(), isDone: true, error });
      return;
    }
    this.search = { id, query, next: 0, found: 0 };
    void this.find();
  }

  private goOnSearching(): void {
    if (this.search && this.search.next < this.log.count) void this.find();
  }

  /** Searches what has not been searched, in slices, so that the page can go on asking for rows. */
  private async find(): Promise<void> {
    if (this.isSearching) return;
    this.isSearching = true;
    try {
      for (let search = this.search; search; search = this.search) {
        const isDone = await this.findBlock(search);
        if (isDone && this.search === search) return;
      }
    } finally {
      this.isSearching = false;
    }
  }

  private async findBlock(search: NonNullable<Engine["search"]>): Promise<boolean> {
    const from = Math.max(search.next, this.log.first);
    const block = this.log.blockOf(from);
    const found: number[] = [];
    if (block && search.found < MAX_FOUND) {
      const end = block.first + block.count;
      for (const line of matches(block, from, search.query)) {
        if (isOfStreams(this.log, line, this.choice.streams)) found.push(line);
      }
      search.next = end;
      search.found += found.length;
    }
    const isDone = !block || search.next >= this.log.count || search.found >= MAX_FOUND;
    const now = performance.now();
    // Also when nothing is found, so that the page knows that the search goes on.
    if (found.length > 0 || isDone || now - this.foundTold > FOUND_TELL_MS) {
      this.foundTold = now;
      const lines = Uint32Array.from(found);
      this.tell({ kind: "found", id: search.id, lines, isDone }, [lines.buffer]);
    }
    const waits = this.breathe();
    if (waits) await waits;
    return isDone;
  }

  private tellSoon(): void {
    this.told ??= setTimeout(() => this.tellState(), TELL_MS);
  }

  private tellState(): void {
    clearTimeout(this.told);
    this.told = undefined;
    const { log, view, phase } = this;
    const state: LogState = {
      phase: phase.name,
      rows: view.rows,
      lines: log.count + log.unfinished,
      shown: view.lineCount,
      first: log.first,
      bytes: this.bytes,
      perStream: [...log.perStream],
      startedAt: log.startedAt,
      annotations: log.marks.annotations,
      totals: log.marks.totals,
      groups: log.marks.groups.length,
      choice: this.choiceId,
    };
    if ("error" in phase) state.error = plain(phase.error);
    const firstError = this.firstError();
    if (firstError !== undefined) state.firstError = firstError;
    this.tell({ kind: "state", state });
    this.goOnSearching();
  }

  /** Lets what the page has asked meanwhile come first, when it is time. */
  private breathe(): Promise<void> | undefined {
    const now = performance.now();
    if (now - this.sliceBegan < SLICE_MS) return undefined;
    return new Promise((go) => {
      macrotask(() => {
        this.sliceBegan = performance.now();
        go();
      });
    });
  }

  private sleep(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((done) => {
      const end = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", end);
        this.waiting.delete(end);
        done();
      };
      const timer = setTimeout(end, ms);
      signal.addEventListener("abort", end);
      this.waiting.add(end);
      if (signal.aborted) end();
    });
  }

  private wake(): void {
    for (const end of [...this.waiting]) end();
  }
}

const queue: (() => void)[] = [];
let channel: MessageChannel | undefined;

/** Runs something after the messages that wait; without the 4 ms that timers take at least. */
function macrotask(run: () => void): void {
  if (!channel) {
    channel = new MessageChannel();
    channel.port1.onmessage = () => queue.shift()?.();
    (channel.port1 as { unref?: () => void }).unref?.();
  }
  queue.push(run);
  channel.port2.postMessage(0);
}

function plain({ status, code, title, detail, traceId, retryable }: ApiError): PlainError {
  return { status, code, title, detail, retryable, ...(traceId ? { traceId } : {}) };
}
