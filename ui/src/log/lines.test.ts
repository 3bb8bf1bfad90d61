import { expect, test, vi } from "vitest";
import { PLAIN, parse, visible, width } from "./ansi";
import { Lines, MAX_LINE } from "./lines";
import { matches, type Query } from "./search";
import { View } from "./view";

const bytes = (text: string) => new TextEncoder().encode(text);
const texts = (log: Lines) =>
  Array.from({ length: log.count - log.first + log.unfinished }, (_, at) => log.line(log.first + at)?.text);

/** Numbers that look random and are the same each time. */
function random(seed: number) {
  let state = seed;
  return (below: number) => {
    state = (state * 1_664_525 + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const WORDS = [
  "a",
  "grüße",
  "日本",
  "\u001b[31mred",
  "\u001b[0m",
  "\r\n",
  "\n",
  "\n\n",
  "x\ry",
  "\t",
  "🎉",
  "\r",
  "::error::e\n",
];

test("however the bytes are cut, the lines are those of a naive split", () => {
  for (let seed = 1; seed <= 300; seed++) {
    const pick = random(seed);
    const text = Array.from({ length: pick(60) }, () => WORDS[pick(WORDS.length)]).join("");
    const naive = text.split("\n").map((line) => line.replace(/\r$/, ""));
    if (text.endsWith("\n") || text === "") naive.pop();
    const all = bytes(text);
    const log = new Lines();
    for (let from = 0; from < all.length; ) {
      const to = Math.min(all.length, from + 1 + pick(7));
      log.append(0, all.subarray(from, to), 0);
      from = to;
    }
    log.end();
    expect(texts(log)).toEqual(naive);
    let sgr = PLAIN;
    naive.forEach((line, at) => {
      const block = log.blockOf(at)!;
      const { spans, end } = parse(line, sgr);
      expect(log.line(at)?.sgr).toEqual(sgr);
      expect(block.widths[at - block.first]).toBe(spans.reduce((sum, span) => sum + width(span.text), 0));
      sgr = end;
    });
  }
});

test("a line keeps its number while others are still being written", () => {
  const log = new Lines();
  log.append(0, bytes("out be"), 1);
  log.append(1, bytes("err\n"), 2);
  expect(texts(log)).toEqual(["err", "out be"]);
  log.append(0, bytes("gins\nnext"), 3);
  expect(texts(log)).toEqual(["err", "out begins", "next"]);
  expect([log.line(1)?.time, log.line(1)?.stream, log.line(0)?.stream, log.line(2)?.isOpen]).toEqual([
    1,
    0,
    1,
    true,
  ]);
});

test("a line of megabytes is cut, and says how much is missing", () => {
  const log = new Lines();
  for (let i = 0; i < 50; i++) log.append(0, bytes("x".repeat(100_000)), 0);
  log.append(0, bytes("\nnext\n"), 0);
  expect(log.count).toBe(2);
  expect(log.bytes).toBeLessThan(MAX_LINE + 200);
  expect(log.line(0)?.text).toMatch(/ 4983680 bytes more$/);
  expect(log.line(1)?.text).toBe("next");
});

test("a progress bar without an end keeps only what is seen", () => {
  const log = new Lines();
  for (let i = 0; i < 50_000; i++) log.append(0, bytes(`\rstep ${i} of many`), 0);
  log.append(0, bytes("\n"), 0);
  expect(visible(log.line(0)!.text)).toBe("step 49999 of many");
});

test("past the limit the oldest lines go, and the others keep their numbers", () => {
  const log = new Lines({ bytes: 3 << 20, lines: 2_000_000 });
  for (let i = 0; i < 100_000; i++) log.append(0, bytes(`${"y".repeat(90)} ${i}\n`), 0);
  expect(log.count).toBe(100_000);
  expect(log.first).toBeGreaterThan(0);
  expect(log.bytes).toBeLessThanOrEqual(4 << 20);
  expect(log.line(99_999)?.text).toMatch(/ 99999$/);
  expect(log.line(0)).toBeUndefined();
  expect(new View(log).row(0)?.line).toBe(log.first);
});

function found(log: Lines, query: Partial<Query>): number[] {
  const whole: Query = { text: "", isRegex: false, isCaseSensitive: false, ...query };
  return log.blocks.flatMap((block) => [...matches(block, 0, whole)]);
}

test("what is searched for is found as it is shown, through colours and over progress", () => {
  const log = new Lines();
  log.append(0, bytes("one\n\u001b[31mNee\u001b[0mdle\nneedle needle\nnothing\nnee\rdle\n"), 0);
  expect(found(log, { text: "needle" })).toEqual([1, 2]);
  expect(found(log, { text: "needle", isCaseSensitive: true })).toEqual([2]);
  expect(found(log, { text: "^n.*e$", isRegex: true })).toEqual([1, 2]);
  expect(found(log, { text: "^dle$", isRegex: true })).toEqual([4]);
  expect(found(log, { text: "a.b(" })).toEqual([]);
  expect(() => found(log, { text: "(", isRegex: true })).toThrow(SyntaxError);
});

test("a search of a block at once finds what a search line by line finds", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const pick = random(seed);
    const words = ["ab", "ba", "\u001b[1m", "\u001b[0m", "ü", " ", "\n", "A"];
    const log = new Lines();
    log.append(0, bytes(Array.from({ length: 200 }, () => words[pick(words.length)]).join("")), 0);
    log.end();
    for (const text of ["ab", "ba b", "aü", "bab"]) {
      const naive = texts(log).flatMap((line, at) =>
        visible(line ?? "")
          .toLowerCase()
          .includes(text)
          ? [at]
          : [],
      );
      expect(found(log, { text })).toEqual(naive);
    }
  }
});

test("streams and folded groups leave out lines, and wrapped lines have several rows", () => {
  const log = new Lines();
  log.append(0, bytes("zero\n::group::G\nin\nside\n::endgroup::\nafter it\n"), 0);
  log.append(1, bytes("wrong\n"), 0);
  const view = new View(log);
  const lines = () => Array.from({ length: view.rows }, (_, row) => view.row(row)?.line);
  const base = { streams: 0b111, isFolded: false, others: [], columns: 0 };
  expect(lines()).toEqual([0, 1, 2, 3, 5, 6]);
  view.choose({ ...base, others: [1] });
  expect(lines()).toEqual([0, 1, 5, 6]);
  expect([view.foldOf(2), view.foldOf(1), view.foldOf(5)]).toEqual([1, undefined, undefined]);
  view.choose({ ...base, isFolded: true });
  expect(lines()).toEqual([0, 1, 5, 6]);
  view.choose({ ...base, streams: 0b010 });
  expect(lines()).toEqual([6]);
  view.choose({ ...base, isFolded: true, columns: 5 });
  expect(lines()).toEqual([0, 1, 1, 5, 5, 6]);
  expect([view.row(4), view.rowOf(5), view.rowOf(3)]).toEqual([{ line: 5, part: 1 }, 3, 3]);
});

test("a line that has not ended is measured once for each time it grows, however many rows are asked for", () => {
  const log = new Lines();
  log.append(0, bytes(`${"x".repeat(30)}\n`.repeat(2_000)), 0);
  log.append(0, bytes("y".repeat(25)), 0);
  const measured = vi.spyOn(log, "widthOfOpen");
  const view = new View(log, { streams: 0b111, isFolded: false, others: [], columns: 10 });
  const all = () => Array.from({ length: view.rows }, (_, row) => view.row(row));
  expect([all().length, all().at(-1), measured.mock.calls.length]).toEqual([
    6_003,
    { line: 2_000, part: 2 },
    1,
  ]);
  log.append(0, bytes("y".repeat(10)), 0);
  expect([all().length, all().at(-1), measured.mock.calls.length]).toEqual([
    6_004,
    { line: 2_000, part: 3 },
    2,
  ]);
});
