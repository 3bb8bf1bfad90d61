import type { Block, Lines } from "./lines";
import type { Group } from "./marks";

/** What of a log is to be seen. */
export interface Choice {
  /** Which streams, a bit for each. */
  streams: number;
  /** Whether groups are folded, unless they are among `others`. */
  isFolded: boolean;
  /** The groups, by their first lines, with which it is the other way round. */
  others: readonly number[];
  /** How many columns a row has; 0 when lines are not wrapped. */
  columns: number;
}

export const EVERYTHING: Choice = { streams: 0b111, isFolded: false, others: [], columns: 0 };

/** The part of a line that a row shows. */
export interface Row {
  line: number;
  part: number;
}

/**
 * The rows that a choice makes of the lines. All rows are equally high, wrapped lines have several: so a place in the log is
 * a multiplication, and nothing has to be measured. While the choice leaves out nothing, nothing is stored either.
 */
export class View {
  private lines: Uint32Array | undefined;
  private starts: Uint32Array | undefined;
  private shown = 0;
  private rowsOfAll = 0;
  private builtFor = "";

  constructor(
    private readonly log: Lines,
    private choice: Choice = EVERYTHING,
  ) {}

  choose(choice: Choice): void {
    this.choice = choice;
    this.builtFor = "";
  }

  /** How many rows there are. */
  get rows(): number {
    this.build();
    return this.rowsOfAll;
  }

  /** How many lines are to be seen. */
  get lineCount(): number {
    this.build();
    return this.shown;
  }

  /** What stands in a row. */
  row(row: number): Row | undefined {
    this.build();
    if (row < 0 || row >= this.rowsOfAll) return undefined;
    const at = this.starts ? before(this.starts, this.shown, row) : row;
    const line = this.lines ? this.lines[at]! : this.log.first + at;
    return { line, part: this.starts ? row - this.starts[at]! : 0 };
  }

  /** The first row of a line, or of the next one that is to be seen, or the last row. */
  rowOf(line: number): number {
    this.build();
    const at = this.lines ? firstAtLeast(this.lines, this.shown, line) : Math.max(0, line - this.log.first);
    if (at >= this.shown) return Math.max(0, this.rowsOfAll - 1);
    return this.starts ? this.starts[at]! : at;
  }

  /** Whether a line is to be seen. */
  has(line: number): boolean {
    const row = this.row(this.rowOf(line));
    return row?.line === line;
  }

  /** The group that hides a line because it is folded, by its first line. */
  foldOf(line: number): number | undefined {
    const inside = groupAt(this.log.marks.groups, line);
    if (!inside || inside.line === line || line >= inside.end) return undefined;
    return this.choice.isFolded !== this.choice.others.includes(inside.line) ? inside.line : undefined;
  }

  private build(): void {
    const { log, choice } = this;
    // What has not ended may grow wider without anything else changing.
    const wide = choice.columns > 0 ? log.grown : 0;
    const state = `${log.first} ${log.count} ${log.unfinished} ${log.marks.groups.length} ${wide}`;
    if (this.builtFor === state) return;
    this.builtFor = state;
    const all = log.count - log.first + log.unfinished;
    this.lines = undefined;
    this.starts = undefined;
    this.shown = all;
    this.rowsOfAll = all;
    const isWhole = choice.streams === 0b111 && log.marks.groups.length === 0;
    if (!isWhole) this.pick(all);
    if (choice.columns > 0) this.wrap();
  }

  private pick(all: number): void {
    const { log, choice } = this;
    const lines = new Uint32Array(all);
    const others = new Set(choice.others);
    const groups = log.marks.groups;
    let group = 0;
    let shown = 0;
    const isHidden = (line: number) => {
      while (group < groups.length && groups[group]!.end <= line) group++;
      const inside = groups[group];
      if (!inside || line <= inside.line || line >= inside.end) return false;
      return (
        choice.isFolded !== others.has(inside.line) || (line === inside.end - 1 && log.marks.ends.has(line))
      );
    };
    for (const block of log.blocks) {
      for (let at = 0; at < block.count; at++) {
        const line = block.first + at;
        if (((choice.streams >> block.streams[at]!) & 1) === 0 || isHidden(line)) continue;
        lines[shown++] = line;
      }
    }
    for (let at = 0; at < log.unfinished; at++) {
      const stream = log.line(log.count + at)?.stream ?? 0;
      if ((choice.streams >> stream) & 1 && !isHidden(log.count + at)) lines[shown++] = log.count + at;
    }
    this.lines = lines;
    this.shown = shown;
    this.rowsOfAll = shown;
  }

  private wrap(): void {
    const { log, lines, shown } = this;
    const { columns } = this.choice;
    const starts = new Uint32Array(shown);
    let row = 0;
    let block: Block | undefined;
    for (let at = 0; at < shown; at++) {
      const line = lines ? lines[at]! : log.first + at;
      if (!block || line >= block.first + block.count) block = log.blockOf(line);
      const wide = block ? block.widths[line - block.first]! : (log.widthOfOpen(line) ?? 0);
      starts[at] = row;
      row += Math.max(1, Math.ceil(wide / columns));
    }
    this.starts = starts;
    this.rowsOfAll = row;
  }
}

/** The place of the last number that is not above `value`. */
function before(sorted: Uint32Array, length: number, value: number): number {
  let low = 0;
  let high = length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (sorted[middle]! <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** The place of the first number that is at least `value`. */
export function firstAtLeast(sorted: ArrayLike<number>, length: number, value: number): number {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The last group that begins at a line or before it. */
export function groupAt(groups: readonly Group[], line: number): Group | undefined {
  let low = 0;
  let high = groups.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (groups[middle]!.line <= line) low = middle + 1;
    else high = middle;
  }
  return groups[low - 1];
}
