import { expect, test } from "vitest";
import { applySgr, BOLD, columns, PLAIN, parse, RGB, visible, width } from "./ansi";
import { contrast, look, rgbOf } from "./colours";
import { decorate, safe } from "./decorate";

const ESC = "\u001b";
const looks = (text: string) =>
  parse(text).spans.map(({ text: piece, sgr }) => [piece, sgr.fg, sgr.bg, sgr.flags]);

test("colours of 16, of 256 and of 24 bits are understood, with semicolons and with colons", () => {
  expect(looks(`a${ESC}[31mb${ESC}[1;92mc${ESC}[0md`)).toEqual([
    ["a", -1, -1, 0],
    ["b", 1, -1, 0],
    ["c", 10, -1, BOLD],
    ["d", -1, -1, 0],
  ]);
  const fg = (codes: string) => applySgr(PLAIN, codes).fg;
  expect([fg("38;5;208"), fg("38:5:208"), fg("38;2;1;2;3"), fg("38:2:1:2:3"), fg("38:2::1:2:3")]).toEqual([
    208,
    208,
    RGB | 0x010203,
    RGB | 0x010203,
    RGB | 0x010203,
  ]);
  expect(applySgr(PLAIN, "48;5;300;1")).toEqual({ fg: -1, bg: -1, flags: BOLD });
  expect(applySgr(applySgr(PLAIN, "1;3;31;44"), "22;39")).toEqual({ fg: -1, bg: 4, flags: 4 });
});

test("a look goes on into the next line", () => {
  const first = parse(`${ESC}[33mone`);
  expect(parse("two", first.end).spans[0]?.sgr.fg).toBe(3);
});

test.each([
  ["a link of a terminal", `${ESC}]8;;javascript:alert(1)\u0007text${ESC}]8;;\u0007`, "text"],
  ["the clipboard", `a${ESC}]52;c;ZXZpbA==\u0007b`, "ab"],
  ["a title that ends with ST", `a${ESC}]0;title${ESC}\\b`, "ab"],
  ["DCS, APC and PM", `a${ESC}Pq${ESC}\\b${ESC}_x${ESC}\\c${ESC}^y${ESC}\\d`, "abcd"],
  ["C1 in 8 bits", "a\u009b31mb\u009d0;t\u009cc\u0085d", "abcd"],
  ["moves of the cursor", `a${ESC}[2Jb${ESC}[10;20Hc${ESC}[?25ld`, "abcd"],
  ["other escapes", `a${ESC}(Bb${ESC}cc${ESC}=d`, "abcd"],
  ["an escape at the end", `a${ESC}`, "a"],
  ["NUL and BEL", "a\u0000b\u0007c", "abc"],
])("%s is dropped", (_, text, shown) => {
  expect(visible(text)).toBe(shown);
});

test("a string without an end hides nothing", () => {
  expect(visible(`a${ESC}]0;the rest`)).toContain("the rest");
});

test("characters that turn the direction are spelled out", () => {
  expect(visible("user\u202etxt.exe")).toBe("user[U+202E]txt.exe");
});

test("a carriage return writes over what was there", () => {
  expect(visible("10%\r55%\r100%")).toBe("100%");
  expect(visible("abcdef\rXY")).toBe("XYcdef");
  expect(visible(`abcdef\rXY${ESC}[K`)).toBe("XY");
  expect(visible("ab\bc")).toBe("ac");
  expect(visible("done\r")).toBe("done");
});

test("tabs stand at every eighth column", () => {
  expect(visible("a\tb")).toBe("a       b");
  expect(visible(`${ESC}[1mab${ESC}[0m\tc`)).toBe("ab      c");
});

test("columns count wide characters twice and marks not at all, and cut between characters", () => {
  expect([width("abc"), width("日本"), width("e\u0301"), width("🎉")]).toEqual([3, 4, 1, 2]);
  const spans = parse(`ab${ESC}[31mcd日本e`).spans;
  expect(columns(spans, 1, 6).map((each) => each.text)).toEqual(["b", "cd日"]);
  expect(columns(spans, 6, 20).map((each) => each.text)).toEqual(["本e"]);
});

test("only addresses of the web become links, without the punctuation around them", () => {
  const links = (text: string) =>
    decorate(parse(text).spans, undefined)
      .filter((piece) => piece.href)
      .map((piece) => piece.text);
  expect(links("see https://a.example/b?c=1&d=2. (http://b.example/x(y))")).toEqual([
    "https://a.example/b?c=1&d=2",
    "http://b.example/x(y)",
  ]);
  expect(links("javascript:alert(1) file:///etc data:text/html,x ftp://a")).toEqual([]);
  expect([safe("javascript:1"), safe("https://a/")]).toEqual([undefined, "https://a/"]);
});

test("a match over several looks is marked in each of them", () => {
  const pieces = decorate(parse(`ab${ESC}[31mcd${ESC}[0mef`).spans, /bcde/g);
  expect(pieces.map((piece) => [piece.text, piece.isFound ?? false])).toEqual([
    ["a", false],
    ["b", true],
    ["cd", true],
    ["e", true],
    ["f", false],
  ]);
});

test("text on a colour can be read, whatever was asked for", () => {
  for (let bg = 0; bg < 256; bg += 5) {
    for (let fg = -1; fg < 256; fg += 17) {
      const { style } = look({ fg, bg, flags: 0 });
      const colour = (text = "") => Number.parseInt(text.slice(1), 16);
      expect(contrast(colour(style?.color), colour(style?.backgroundColor))).toBeGreaterThanOrEqual(4.5);
    }
  }
  expect([rgbOf(16), rgbOf(231), rgbOf(232), rgbOf(RGB | 0x123456)]).toEqual([
    0, 0xffffff, 0x080808, 0x123456,
  ]);
});

test("a line of hostile escapes is read in a time that grows with its length", () => {
  const began = performance.now();
  for (const part of [`${ESC}]`, `${ESC}[`, `${ESC}P`, "\u009d", `${ESC}[1;`, "\u009b38;"])
    visible(part.repeat(20_000));
  expect(performance.now() - began).toBeLessThan(2_000);
});
