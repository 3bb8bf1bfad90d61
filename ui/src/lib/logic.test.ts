import { expect, test } from "vitest";
import { formatAnchor, parseAnchor } from "./anchor";
import { pathOf } from "./base";
import { diffLines, foldSame } from "./diff";
import { stripEscapes } from "./escapes";
import { parseExact, stringifyExact, valueText } from "./exact-json";
import { bytes, count, counted, percent, ratio } from "./numbers";
import { phases } from "./timeline";
import { tree } from "./tree";
import { endWords } from "./verdict";
import { toYaml } from "./yaml";

test("the base path has no slash at its end", () => {
  expect(["http://h/", "http://h/a/b/", "http://h/a/index.html"].map(pathOf)).toEqual(["", "/a/b", "/a"]);
});

test("anchors of lines survive the address", () => {
  expect(parseAnchor("#L120-L140")).toEqual({ from: 120, to: 140 });
  expect(parseAnchor("L140-120")).toEqual({ from: 120, to: 140 });
  expect([parseAnchor("#L0"), parseAnchor("#code=x"), parseAnchor("")]).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
  expect([formatAnchor({ from: 3, to: 3 }), formatAnchor({ from: 3, to: 5 })]).toEqual(["L3", "L3-L5"]);
});

test("integers past 2^53 keep their digits", () => {
  const read = parseExact(
    '{"id": 9007199254740993, "s": "9007199254740993 \\" 1", "f": 1.5, "l": [12345678901234567890]}',
  );
  expect(valueText((read as { id: unknown }).id)).toBe("9007199254740993");
  expect((read as { s: string }).s).toBe('9007199254740993 " 1');
  expect(stringifyExact(read)).toBe(
    '{"id":9007199254740993,"s":"9007199254740993 \\" 1","f":1.5,"l":[12345678901234567890]}',
  );
});

test("where a text is shown, its numbers stand as they were written", () => {
  const text = '{"a":1.0,"b":1e-7,"c":1E400,"d":9007199254740993,"e":12,"f":"1.0"}';
  expect(stringifyExact(parseExact(text, "as written"))).toBe(text);
  expect(parseExact('{"a":1.0,"b":1e-7}')).toEqual({ a: 1, b: 1e-7 });
});

test("a difference keeps what is the same and folds what is far", () => {
  const lines = diffLines(["a", "b", "c", "d"], ["a", "x", "c", "d", "e"]);
  expect(lines.map((line) => `${line.change[0]}${line.text}`)).toEqual(["sa", "rb", "ax", "sc", "sd", "ae"]);
  const long = diffLines([..."0123456789".split(""), "z"], [..."0123456789".split(""), "y"]);
  expect(foldSame(long, 2)[0]).toEqual({ hidden: 8 });
  expect(diffLines([], [])).toEqual([]);
});

test("yaml quotes what would be read as something else", () => {
  expect(
    toYaml({
      a: "on",
      b: "1.5",
      c: "plain text",
      d: [1, "x: y"],
      e: {},
      f: [{ k: "v", l: [] }],
      g: undefined,
      h: "*/5 * * * *",
    }),
  ).toBe(
    'a: "on"\nb: "1.5"\nc: plain text\nd:\n  - 1\n  - "x: y"\ne: {}\nf:\n  - k: v\n    l: []\nh: "*/5 * * * *"\n',
  );
});

test("escape sequences go, whatever they are", () => {
  expect(stripEscapes("\u001b[1;31mred\u001b[0m\u001b]52;c;x\u0007 \u009b31m \u202eabc")).toBe("red  abc");
  // Of a link only its text stays, of a title nothing, in 7 bits and in 8.
  const link = (begin: string, end: string) => `${begin}8;;https://a.example/${end}text${begin}8;;${end}`;
  for (const end of ["\u0007", "\u001b\\", "\u009c"]) {
    expect(stripEscapes(link("\u001b]", end))).toBe("text");
    expect(stripEscapes(link("\u009d", end))).toBe("text");
    expect(stripEscapes(`a\u001b]0;title${end}b`)).toBe("ab");
  }
  // One without an end hides nothing of what follows.
  expect(stripEscapes("\u001b]0;a message\nof two lines")).toBe("0;a message\nof two lines");
});

test("hostile escapes are dropped in a time that grows with the text", () => {
  const began = performance.now();
  for (const part of ["\u009d", "\u001b]", "\u009b", "\u001b[", "\u001b]\u009d", "\u009b38;"])
    stripEscapes(part.repeat(200_000));
  expect(performance.now() - began).toBeLessThan(2_000);
});

test("numbers are rounded without lying", () => {
  expect([1e-7, -2.5e-9, 0.00012345, 0.001, 0.5, 0, 1_234_567.891].map(count)).toEqual([
    "1e-7",
    "-2.5e-9",
    "0.00012345",
    "0.001",
    "0.5",
    "0",
    "1,234,567.891",
  ]);
  expect([percent(999, 1_000), percent(1, 10_000), percent(5, 5), percent(0, 5), percent(0, 0)]).toEqual([
    "99.9 %",
    "0.1 %",
    "100 %",
    "0 %",
    "–",
  ]);
  expect([bytes(512), bytes(1_536), bytes(82_500_000)]).toEqual(["512 B", "1.5 KiB", "78.7 MiB"]);
  expect([counted({ count: 1_000, more: true }), ratio(1.143), ratio(0.5), ratio(1)]).toEqual([
    "1,000+",
    "+14 %",
    "−50 %",
    "±0 %",
  ]);
});

test("a run that was tried twice waits twice", () => {
  const at = (second: number) => new Date(second * 1_000).toISOString();
  const attempt = (n: number, leased: number, started: number, ended?: number) =>
    ({
      attempt: n,
      leased_at: at(leased),
      started_at: at(started),
      ended_at: ended === undefined ? undefined : at(ended),
    }) as never;
  const run = {
    state: "running",
    created_at: at(0),
    attempt: 2,
    attempts: [attempt(1, 5, 7, 10), attempt(2, 20, 21)],
  } as never;
  const list = phases(run, new Date(30_000)).map((phase) => [
    phase.kind,
    phase.attempt,
    (phase.toMs - phase.fromMs) / 1_000,
    phase.open,
  ]);
  expect(list).toEqual([
    ["queued", 0, 5, false],
    ["preparing", 1, 2, false],
    ["running", 1, 3, false],
    ["queued", 0, 10, false],
    ["preparing", 2, 1, false],
    ["running", 2, 9, true],
  ]);
});

test("the end of a run is said in words", () => {
  expect(endWords({ result: "error", reason: "oom_killed", exit_code: 137 }, { memory: "512Mi" })).toBe(
    "killed: memory limit 512Mi, exit code 137 (SIGKILL)",
  );
  expect(endWords({ result: "timed_out" }, { timeout: "15 s" })).toBe(
    "killed: it ran longer than its timeout of 15 s",
  );
  expect(endWords({ result: "pass", exit_code: 0 })).toBe("");
});

test("paths become a tree, and lone folders are joined", () => {
  const nodes = tree([
    { path: "a/b/c.txt", bytes: 1 },
    { path: "a/b/d.txt", bytes: 2 },
    { path: "z.txt", bytes: 4 },
  ]);
  expect(nodes.map((node) => [node.name, node.bytes, node.children.length])).toEqual([
    ["a/b", 3, 2],
    ["z.txt", 4, 0],
  ]);
});
