/**
 * What a terminal would show of a line, as pieces of text with a look each. Of the escape sequences only SGR means
 * anything here; all others are dropped, so that a log can set no title, no clipboard and no hidden link. Characters that
 * turn the direction of writing are spelled out.
 */

/** How text looks. Colours: -1 the default, 0 to 255 of the palette, from `RGB` on 24 bits of colour. */
export interface Sgr {
  fg: number;
  bg: number;
  flags: number;
}

/** A piece of a line, all of one look. */
export interface Span {
  text: string;
  sgr: Sgr;
}

export const RGB = 0x1000000;
export const BOLD = 1;
export const DIM = 2;
export const ITALIC = 4;
export const UNDERLINE = 8;
export const INVERSE = 16;
export const HIDDEN = 32;
export const STRIKE = 64;
/** Not written by the log as it stands here: the name of a character that cannot be shown. */
export const SPELLED = 128;

export const PLAIN: Sgr = { fg: -1, bg: -1, flags: 0 };

// In this order: SGR; other CSI; strings (OSC, DCS, SOS, PM, APC) with their end, in 7 bits and in 8; other escapes; a
// carriage return, backspace or tab; characters that turn the direction; other control characters. A string without an end
// loses only its introducer: otherwise one byte would hide the rest of a line.
const TOKEN =
  /(?:\u001b\[|\u009b)([0-9;:]*)m|(?:\u001b\[|\u009b)([0-?]*)[ -/]*([@-~])|\u001b[\]PX^_][^\u0007\u001b\u0090\u0098\u009c-\u009f]*(?:\u0007|\u001b\\|\u009c)|[\u0090\u0098\u009d-\u009f][^\u0007\u001b\u0090\u0098\u009c-\u009f]*(?:\u0007|\u001b\\|\u009c)|\u001b[ -/]*[0-~]|([\r\b\t])|([\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069])|[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;

/** The pieces of a line, and the look that the next line begins with. */
export function parse(text: string, start: Sgr = PLAIN): { spans: Span[]; end: Sgr } {
  const line = /[\r\b]/.test(text) ? new Overwritten() : new Written();
  let sgr = start;
  let from = 0;
  TOKEN.lastIndex = 0;
  for (let match = TOKEN.exec(text); match; match = TOKEN.exec(text)) {
    if (match.index > from) line.write(text.slice(from, match.index), sgr);
    from = TOKEN.lastIndex;
    const [, codes, args, final, move, turn] = match;
    if (codes !== undefined) sgr = applySgr(sgr, codes);
    else if (final === "K") line.erase(args ?? "");
    else if (move) line.move(move, sgr);
    else if (turn) line.write(spelled(turn), { ...sgr, flags: sgr.flags | SPELLED });
  }
  if (from < text.length) line.write(text.slice(from), sgr);
  return { spans: line.spans(), end: sgr };
}

/** The text of a line as it is shown. */
export function visible(text: string): string {
  return parse(text)
    .spans.map((span) => span.text)
    .join("");
}

function spelled(char: string): string {
  return `[U+${char.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}]`;
}

/** A line that is written from left to right, as nearly all are. */
class Written {
  private readonly list: Span[] = [];
  private column = 0;

  write(text: string, sgr: Sgr): void {
    const last = this.list.at(-1);
    if (last && sameSgr(last.sgr, sgr)) last.text += text;
    else this.list.push({ text, sgr });
    this.column += width(text);
  }

  erase(_args: string): void {}

  move(char: string, sgr: Sgr): void {
    if (char === "\t") this.write(" ".repeat(8 - (this.column % 8)), sgr);
  }

  spans(): Span[] {
    return this.list;
  }
}

/** A line that goes back and writes over itself, as progress bars do. */
class Overwritten {
  private cells: Span[] = [];
  private at = 0;

  write(text: string, sgr: Sgr): void {
    for (const char of text) {
      const before = this.cells[this.at - 1];
      if (before && width(char) === 0) before.text += char;
      else this.cells[this.at++] = { text: char, sgr };
    }
  }

  erase(args: string): void {
    if (args === "1" || args === "2") {
      const to = args === "2" ? this.cells.length : Math.min(this.at + 1, this.cells.length);
      for (let i = 0; i < to; i++) this.cells[i] = { text: " ", sgr: PLAIN };
      if (args === "2") this.cells.length = this.at;
    } else {
      this.cells.length = Math.min(this.cells.length, this.at);
    }
    while (this.cells.length < this.at) this.cells.push({ text: " ", sgr: PLAIN });
  }

  move(char: string, sgr: Sgr): void {
    if (char === "\r") this.at = 0;
    else if (char === "\b") this.at = Math.max(0, this.at - 1);
    else this.write(" ".repeat(8 - (this.at % 8)), sgr);
  }

  spans(): Span[] {
    const list: Span[] = [];
    for (const { text, sgr } of this.cells) {
      const last = list.at(-1);
      if (last && sameSgr(last.sgr, sgr)) last.text += text;
      else list.push({ text, sgr });
    }
    return list;
  }
}

function sameSgr(a: Sgr, b: Sgr): boolean {
  return a === b || (a.fg === b.fg && a.bg === b.bg && a.flags === b.flags);
}

const ON: Record<number, number> = {
  1: BOLD,
  2: DIM,
  3: ITALIC,
  4: UNDERLINE,
  7: INVERSE,
  8: HIDDEN,
  9: STRIKE,
  21: UNDERLINE,
};
const OFF: Record<number, number> = {
  22: BOLD | DIM,
  23: ITALIC,
  24: UNDERLINE,
  27: INVERSE,
  28: HIDDEN,
  29: STRIKE,
};

/** The look after the codes of a sequence such as `1;38;5;208`. */
export function applySgr(before: Sgr, codes: string): Sgr {
  if (codes === "" || codes === "0") return PLAIN;
  let { fg, bg, flags } = before;
  const groups = codes.split(";");
  for (let i = 0; i < groups.length; i++) {
    const parts = groups[i]!.split(":");
    const code = Number(parts[0]);
    if (code === 0) {
      ({ fg, bg, flags } = PLAIN);
    } else if (code === 4 && parts[1] === "0") {
      flags &= ~UNDERLINE;
    } else if (ON[code]) {
      flags |= ON[code];
    } else if (OFF[code]) {
      flags &= ~OFF[code];
    } else if (code >= 30 && code <= 37) {
      fg = code - 30;
    } else if (code >= 90 && code <= 97) {
      fg = code - 82;
    } else if (code >= 40 && code <= 47) {
      bg = code - 40;
    } else if (code >= 100 && code <= 107) {
      bg = code - 92;
    } else if (code === 39) {
      fg = -1;
    } else if (code === 49) {
      bg = -1;
    } else if (code === 38 || code === 48 || code === 58) {
      const isInOne = parts.length > 1;
      const rest = (isInOne ? parts.slice(1) : groups.slice(i + 1)).map(Number);
      // With colons there may be a colour space between the 2 and the red: 38:2::1:2:3.
      const rgb = isInOne && rest.length > 4 ? rest.slice(2, 5) : rest.slice(1, 4);
      const colour = rest[0] === 5 ? palette(rest[1]) : rest[0] === 2 ? trueColour(rgb) : undefined;
      if (!isInOne) i += rest[0] === 5 ? 2 : rest[0] === 2 ? 4 : 1;
      if (colour !== undefined && code === 38) fg = colour;
      if (colour !== undefined && code === 48) bg = colour;
    }
  }
  return fg === -1 && bg === -1 && flags === 0 ? PLAIN : { fg, bg, flags };
}

function palette(n: number | undefined): number | undefined {
  return n !== undefined && n >= 0 && n <= 255 ? n : undefined;
}

function trueColour(rgb: number[]): number | undefined {
  const [r = 0, g = 0, b = 0] = rgb;
  return [r, g, b].every((each) => each >= 0 && each <= 255) ? RGB | (r << 16) | (g << 8) | b : undefined;
}

const NARROW = /^[\u0020-\u02ff]*$/;
const ZERO = /^(?:\p{M}|\u200b|\u200c|\u200d|\ufeff)$/u;
const WIDE =
  /^[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1f64f}\u{1f680}-\u{1faff}\u{20000}-\u{3fffd}]$/u;

/** How many columns a text takes in a font of fixed width. */
export function width(text: string): number {
  if (NARROW.test(text)) return text.length;
  let columns = 0;
  for (const char of text) columns += charWidth(char);
  return columns;
}

function charWidth(char: string): number {
  return char <= "\u02ff" ? 1 : ZERO.test(char) ? 0 : WIDE.test(char) ? 2 : 1;
}

/** The pieces of a line that stand in the columns from `from` to before `to`. */
export function columns<S extends Span>(spans: readonly S[], from: number, to: number): S[] {
  const list: S[] = [];
  let at = 0;
  for (const span of spans) {
    const { text } = span;
    if (at >= to) break;
    const wide = width(text);
    if (at + wide > from) {
      const part =
        wide === text.length
          ? text.slice(Math.max(0, from - at), to - at)
          : [...withColumns(text, at)].reduce(
              (sum, [char, col]) => sum + (col >= from && col < to ? char : ""),
              "",
            );
      if (part) list.push({ ...span, text: part });
    }
    at += wide;
  }
  return list;
}

function* withColumns(text: string, from: number): Generator<[string, number]> {
  let at = from;
  for (const char of text) {
    const wide = charWidth(char);
    // What takes no column belongs to the character before it.
    yield [char, wide === 0 ? at - 1 : at];
    at += wide;
  }
}
