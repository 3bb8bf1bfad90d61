import { type Sgr, SPELLED, type Span } from "./ansi";

/** A piece of a line as it is drawn: with where it leads, and whether it was searched for. */
export interface Piece extends Span {
  href?: string;
  isFound?: boolean;
}

// Only these characters: what else a log calls an address may look like another one.
const LINK = /\bhttps?:\/\/[\w!#$%&'()*+,\-./:;=?@~]+/g;
const MAX_RANGES = 200;

interface Range {
  from: number;
  to: number;
}

/** Marks the links of a line, and what matches in it. */
export function decorate(spans: readonly Span[], found: RegExp | undefined): Piece[] {
  const text = spans.map((span) => span.text).join("");
  const links = text.includes("://") ? rangesOf(text, LINK).map(withoutEnd(text)) : [];
  const marks = found ? rangesOf(text, found) : [];
  if (links.length === 0 && marks.length === 0) return [...spans];
  const cuts = [...new Set([...links, ...marks].flatMap(({ from, to }) => [from, to]))].sort((a, b) => a - b);
  const pieces: Piece[] = [];
  let at = 0;
  for (const span of spans) {
    const end = at + span.text.length;
    let from = at;
    for (const cut of [...cuts.filter((each) => each > at && each < end), end]) {
      const link = links.find((range) => range.from <= from && cut <= range.to);
      const href = link && safe(text.slice(link.from, link.to));
      pieces.push({
        text: text.slice(from, cut),
        sgr: span.sgr,
        ...(href && !isSpelled(span.sgr) ? { href } : {}),
        ...(marks.some((range) => range.from <= from && cut <= range.to) ? { isFound: true } : {}),
      });
      from = cut;
    }
    at = end;
  }
  return pieces;
}

function isSpelled(sgr: Sgr): boolean {
  return (sgr.flags & SPELLED) !== 0;
}

function rangesOf(text: string, wanted: RegExp): Range[] {
  const ranges: Range[] = [];
  wanted.lastIndex = 0;
  for (let match = wanted.exec(text); match && ranges.length < MAX_RANGES; match = wanted.exec(text)) {
    if (match[0] === "") wanted.lastIndex += 1;
    else ranges.push({ from: match.index, to: match.index + match[0].length });
  }
  return ranges;
}

/** Without the punctuation that belongs to the sentence around, not to the address. */
function withoutEnd(text: string) {
  return ({ from, to }: Range): Range => {
    let end = to;
    for (; end > from; end--) {
      const last = text[end - 1]!;
      const isOpened =
        last === ")" &&
        text.slice(from, end - 1).split("(").length > text.slice(from, end).split(")").length - 1;
      if (isOpened || !/[.,;:!?')]/.test(last)) break;
    }
    return { from, to: end };
  };
}

/** An address that may be followed. */
export function safe(address: string): string | undefined {
  try {
    const url = new URL(address);
    return url.protocol === "http:" || url.protocol === "https:" ? url.href : undefined;
  } catch {
    return undefined;
  }
}
