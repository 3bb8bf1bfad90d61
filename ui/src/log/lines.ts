import { applySgr, PLAIN, parse, type Sgr, width } from "./ansi";
import { Marks } from "./marks";
import { LIMITS, STREAMS } from "./protocol";

/**
 * The lines of a log as bytes, with where each begins, when it was written, to which stream, how wide it is and the look it
 * begins with. Bytes, because a million strings would cost several times as much. A line has its number from the order in
 * which lines end, so that the number stays whatever comes later; what has not ended yet stands behind them all.
 */

const SYSTEM = STREAMS.indexOf("system");

/** One line, as it is handed to be drawn. */
export interface Line {
  /** Counted from 0. */
  line: number;
  text: string;
  sgr: Sgr;
  stream: number;
  time: number;
  /** It has not ended yet. */
  isOpen: boolean;
}

const BLOCK_BYTES = 1 << 20;
const BLOCK_LINES = 1 << 14;
/** More of one line is counted and not kept. */
export const MAX_LINE = 256 * 1024;
/** So much of a line is drawn. */
const SHOWN_LINE = 16 * 1024;

/** Lines that stand next to each other. */
export interface Block {
  first: number;
  count: number;
  bytes: Uint8Array;
  used: number;
  starts: Uint32Array;
  widths: Uint32Array;
  times: Float64Array;
  states: Uint16Array;
  streams: Uint8Array;
  /** Whether a line of it has an escape sequence. */
  hasEscapes: boolean;
  /** Whether a line of it goes back, or has other sequences than CSI. */
  hasOdd: boolean;
}

interface Open {
  bytes: Uint8Array;
  used: number;
  dropped: number;
  time: number;
  sgr: Sgr;
}

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
const encoder = new TextEncoder();
const LF = 10;
const CR = 13;
const ESC = 27;

export class Lines {
  readonly blocks: Block[] = [];
  readonly marks = new Marks();
  /** How many lines have ended, those that are no longer kept included. */
  count = 0;
  /** How many bytes are kept. */
  bytes = 0;
  /** When the first line was written; 0 while there is none. */
  startedAt = 0;
  /** Grows whenever a line that has not ended does. */
  grown = 0;
  /** How many lines there are of each stream. */
  readonly perStream = [0, 0, 0];
  private readonly open: [Open, Open] = [makeOpen(), makeOpen()];
  /** How many bytes of very long lines were not kept. */
  private readonly dropped = new Map<number, number>();
  private readonly looks: Sgr[] = [PLAIN];
  private readonly lookIds = new Map<string, number>([["-1 -1 0", 0]]);

  constructor(private readonly limits = LIMITS) {}

  /** The first line that is kept. */
  get first(): number {
    return this.blocks[0]?.first ?? this.count;
  }

  /** How many lines stand behind those that have ended. */
  get unfinished(): number {
    return this.open.filter((open) => open.used > 0).length;
  }

  /** Takes bytes of a stream. They may be cut anywhere. */
  append(stream: number, bytes: Uint8Array, time: number): void {
    const open = this.open[stream === 1 ? 1 : 0];
    if (this.startedAt === 0) this.startedAt = time;
    let from = 0;
    for (let end = bytes.indexOf(LF); end >= 0; end = bytes.indexOf(LF, from)) {
      if (open.used === 0 && open.dropped === 0 && end - from <= MAX_LINE) {
        this.commit(open, bytes, from, end, stream, time);
      } else {
        keep(open, bytes.subarray(from, end), time);
        this.flush(stream);
      }
      from = end + 1;
    }
    if (from < bytes.length) {
      keep(open, bytes.subarray(from), time);
      this.grown += 1;
    }
  }

  /** Ends the line that has not ended, if there is one. */
  flush(stream: number): void {
    const open = this.open[stream === 1 ? 1 : 0];
    if (open.used === 0 && open.dropped === 0) return;
    const { bytes, used, time } = open;
    this.commit(open, bytes, 0, used, stream, time);
    open.used = 0;
    open.dropped = 0;
  }

  /** Ends all lines: nothing more comes. */
  end(): void {
    this.flush(0);
    this.flush(1);
  }

  /** Says something between the lines of a log. */
  say(text: string, time: number): void {
    const bytes = encoder.encode(text);
    this.commit(makeOpen(), bytes, 0, bytes.length, SYSTEM, time);
  }

  /** The block that has a line. */
  blockOf(line: number): Block | undefined {
    let low = 0;
    let high = this.blocks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.blocks[middle]!.first <= line) low = middle;
      else high = middle - 1;
    }
    const block = this.blocks[low];
    return block && line >= block.first && line < block.first + block.count ? block : undefined;
  }

  /** A line, counted from 0; those that have not ended stand behind the last. */
  line(line: number): Line | undefined {
    if (line >= this.count) {
      const waiting = [0, 1].filter((stream) => this.open[stream as 0 | 1].used > 0);
      const stream = waiting[line - this.count];
      if (stream === undefined) return undefined;
      const { bytes, used, dropped, sgr, time } = this.open[stream as 0 | 1];
      return { line, text: shown(bytes, 0, used, dropped), sgr, stream, time, isOpen: true };
    }
    const block = this.blockOf(line);
    if (!block) return undefined;
    const at = line - block.first;
    const [from, to] = bounds(block, at);
    return {
      line,
      text: shown(block.bytes, from, to, this.dropped.get(line)),
      sgr: this.looks[block.states[at]!] ?? PLAIN,
      stream: block.streams[at]!,
      time: block.times[at]!,
      isOpen: false,
    };
  }

  /** How wide a line is that has not ended. */
  widthOfOpen(line: number): number | undefined {
    const open = this.line(line);
    return open && parse(open.text, open.sgr).spans.reduce((sum, span) => sum + width(span.text), 0);
  }

  private commit(
    open: Open,
    bytes: Uint8Array,
    from: number,
    to: number,
    stream: number,
    time: number,
  ): void {
    const end = to > from && bytes[to - 1] === CR ? to - 1 : to;
    const block = this.roomFor(end - from + 1);
    const at = block.count;
    const start = block.used;
    block.starts[at] = start;
    if (end - from > 512) {
      block.bytes.set(bytes.subarray(from, end), start);
    } else {
      for (let i = from, o = start; i < end; i++, o++) block.bytes[o] = bytes[i]!;
    }
    block.used = start + end - from;
    block.bytes[block.used++] = LF;
    if (open.dropped > 0) this.dropped.set(this.count, open.dropped);
    block.times[at] = time;
    block.streams[at] = stream;
    block.states[at] = open.sgr === PLAIN ? 0 : this.lookId(open.sgr);
    block.widths[at] = this.measure(block, start, block.used - 1, open);
    block.count += 1;
    this.bytes += end - from + 1;
    this.perStream[stream]! += 1;
    const line = this.count++;
    if (bytes[from] === 58 && bytes[from + 1] === 58) this.marks.take(line, shown(bytes, from, end));
  }

  /** How wide the line is; and from here on `open` begins with the look that the line ends with. */
  private measure(block: Block, from: number, to: number, open: Open): number {
    if (to - from > SHOWN_LINE) return this.measureSlowly(block, from, to, open);
    const bytes = block.bytes;
    let columns = 0;
    let isPlain = open.sgr === PLAIN;
    for (let i = from; i < to; i++) {
      const byte = bytes[i]!;
      if (byte >= 32 && byte < 127) {
        columns += 1;
        continue;
      }
      if (byte === ESC) {
        block.hasEscapes = true;
        if (bytes[i + 1] === 91) {
          const begin = i + 2;
          i = begin;
          while (i < to && bytes[i]! >= 32 && bytes[i]! < 64) i++;
          if (i < to && bytes[i]! >= 64 && bytes[i]! < 127) {
            if (bytes[i] === 109) isPlain = i === begin || (i === begin + 1 && bytes[begin] === 48);
            continue;
          }
        }
      }
      return this.measureSlowly(block, from, to, open);
    }
    if (isPlain) open.sgr = PLAIN;
    else if (block.hasEscapes) open.sgr = endOf(utf8.decode(bytes.subarray(from, to)), open.sgr);
    return columns;
  }

  private measureSlowly(block: Block, from: number, to: number, open: Open): number {
    const text = shown(block.bytes, from, to, open.dropped);
    if (/[\u001b\u009b]/.test(text)) block.hasEscapes = true;
    if (/[\u0000-\u0008\u000b-\u001a\u001c-\u001f\u007f-\u009f]|\u001b[^[]/.test(text)) block.hasOdd = true;
    const { spans, end } = parse(text, open.sgr);
    open.sgr = end;
    return spans.reduce((sum, span) => sum + width(span.text), 0);
  }

  private lookId(sgr: Sgr): number {
    const key = `${sgr.fg} ${sgr.bg} ${sgr.flags}`;
    let id = this.lookIds.get(key);
    if (id === undefined) {
      // A log with more looks than that is noise; its later lines begin plainly.
      if (this.looks.length > 60_000) return 0;
      id = this.looks.push(sgr) - 1;
      this.lookIds.set(key, id);
    }
    return id;
  }

  private roomFor(size: number): Block {
    const last = this.blocks.at(-1);
    if (last && last.count < BLOCK_LINES && last.used + size <= last.bytes.length) return last;
    const block: Block = {
      first: this.count,
      count: 0,
      bytes: new Uint8Array(Math.max(BLOCK_BYTES, size)),
      used: 0,
      starts: new Uint32Array(BLOCK_LINES),
      widths: new Uint32Array(BLOCK_LINES),
      times: new Float64Array(BLOCK_LINES),
      states: new Uint16Array(BLOCK_LINES),
      streams: new Uint8Array(BLOCK_LINES),
      hasEscapes: false,
      hasOdd: false,
    };
    this.blocks.push(block);
    while (
      this.blocks.length > 1 &&
      (this.bytes > this.limits.bytes || this.count - this.first > this.limits.lines)
    ) {
      const gone = this.blocks.shift()!;
      this.bytes -= gone.used;
    }
    return block;
  }
}

/** Where the bytes of a line of a block stand. */
export function bounds(block: Block, at: number): [from: number, to: number] {
  return [block.starts[at]!, (at + 1 < block.count ? block.starts[at + 1]! : block.used) - 1];
}

function makeOpen(): Open {
  return { bytes: new Uint8Array(1024), used: 0, dropped: 0, time: 0, sgr: PLAIN };
}

function keep(open: Open, more: Uint8Array, time: number): void {
  if (open.used === 0 && open.dropped === 0) open.time = time;
  let part = more;
  if (open.used + more.length > MAX_LINE) {
    // A line that goes back to its beginning is written over: what was before is not seen any more.
    const back = more.subarray(0, more.length - 1).lastIndexOf(CR);
    if (back >= 0) {
      open.used = 0;
      open.dropped = 0;
      part = more.subarray(back + 1);
    }
    const room = Math.max(0, MAX_LINE - open.used);
    open.dropped += Math.max(0, part.length - room);
    part = part.subarray(0, room);
  }
  if (open.used + part.length > open.bytes.length) {
    const larger = new Uint8Array(Math.max(open.bytes.length * 2, open.used + part.length));
    larger.set(open.bytes.subarray(0, open.used));
    open.bytes = larger;
  }
  open.bytes.set(part, open.used);
  open.used += part.length;
}

function shown(bytes: Uint8Array, from: number, to: number, dropped = 0): string {
  if (to - from <= SHOWN_LINE) return utf8.decode(bytes.subarray(from, to));
  const tail = bytes.subarray(to - SHOWN_LINE, to);
  const back = tail.indexOf(CR);
  if (back >= 0) return utf8.decode(tail.subarray(back + 1));
  // Whole characters: not between the bytes of one.
  let end = from + SHOWN_LINE - 64;
  while (end > from && (bytes[end]! & 0xc0) === 0x80) end--;
  return `${utf8.decode(bytes.subarray(from, end))}\u001b[0m … ${to - end + dropped} bytes more`;
}

function endOf(text: string, start: Sgr): Sgr {
  let sgr = start;
  for (const match of text.matchAll(/\u001b\[([0-9;:]*)m/g)) sgr = applySgr(sgr, match[1]!);
  return sgr;
}
