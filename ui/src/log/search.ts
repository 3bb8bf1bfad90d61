import { visible } from "./ansi";
import type { Block, Lines } from "./lines";

/** What is searched for. */
export interface Query {
  text: string;
  isRegex: boolean;
  isCaseSensitive: boolean;
}

/** More matching lines are not counted. */
export const MAX_FOUND = 1_000_000;

const SEQUENCES = "(?:\\u001b\\[[0-?]*[ -/]*[@-~])*";
const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** The expression that a query means, for the text as it is shown. Throws a `SyntaxError` when it is none. */
export function expression({ text, isRegex, isCaseSensitive }: Query): RegExp {
  return new RegExp(isRegex ? text : literally(text), isCaseSensitive ? "g" : "gi");
}

/** The same for text that still has its sequences: between any two characters there may be some. */
function throughSequences({ text, isCaseSensitive }: Query): RegExp {
  return new RegExp([...text].map(literally).join(SEQUENCES), isCaseSensitive ? "g" : "gi");
}

function literally(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}

/**
 * The lines of a block that match, from `from` on. A literal is looked for in the whole block at once, which is what makes a
 * hundred megabytes quick; an expression line by line, so that it cannot reach over their ends.
 */
export function* matches(block: Block, from: number, query: Query): Generator<number> {
  const begin = Math.max(0, from - block.first);
  if (begin >= block.count || query.text === "") return;
  const text = utf8.decode(block.bytes.subarray(block.starts[begin], block.used));
  if (query.isRegex || block.hasOdd) yield* byLine(block, begin, text, query);
  else yield* atOnce(block, begin, text, query);
}

function* atOnce(block: Block, begin: number, text: string, query: Query): Generator<number> {
  const wanted = block.hasEscapes ? throughSequences(query) : expression(query);
  let line = block.first + begin;
  let next = text.indexOf("\n");
  for (let match = wanted.exec(text); match; match = wanted.exec(text)) {
    while (next < match.index) {
      line += 1;
      next = text.indexOf("\n", next + 1);
    }
    yield line;
    // One match of a line is enough.
    wanted.lastIndex = next + 1;
  }
}

function* byLine(block: Block, begin: number, text: string, query: Query): Generator<number> {
  const wanted = expression(query);
  const test = new RegExp(wanted.source, wanted.flags.replace("g", ""));
  let from = 0;
  for (let at = begin; ; at++) {
    const end = text.indexOf("\n", from);
    // Lines that came after the text was read are for the next time.
    if (end < 0) return;
    const line = text.slice(from, end);
    from = end + 1;
    if (test.test(ODD.test(line) ? visible(line) : line)) yield block.first + at;
  }
}

const ODD = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/;

/** The streams of lines may be chosen, and lines may lie beyond what is shown: what of the found is to be seen. */
export function isOfStreams(log: Lines, line: number, streams: number): boolean {
  const block = log.blockOf(line);
  return block !== undefined && ((streams >> block.streams[line - block.first]!) & 1) === 1;
}
