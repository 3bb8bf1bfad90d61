import { expect, test } from "vitest";
import type { Schema } from "~/api/client";
import { sentenceMarkdown } from "./markdown";

const said = {
  as_of: "2026-01-01T00:00:12Z",
  tests: { total: 214, failing: 3, newly_failing: 2, flaky: 0, slower: 0 },
  queue: { depth: { count: 4, more: false }, oldest: "2026-01-01T00:00:00Z", held: 0, stranded: 0 },
  runners: { total: 7, online: 6, draining: 0, slots: 12, slots_used: 4 },
} as Schema["Dashboard"];

test("the sentence as Markdown says what there is, and its numbers are links to it", () => {
  const text = sentenceMarkdown("default", said);
  expect(text).toContain("**[default](http://tstr.test/ns/default)**: ");
  expect(text).toContain("[3](http://tstr.test/ns/default/tests?state=broken&state=failing) of ");
  expect(text.replace(/\[([^\]]+)\]\([^)]+\)/g, "$1")).toBe(
    "**default**: 3 of 214 tests failing, 2 newly since yesterday; queue 4, oldest 12 s; 6 of 7 runners online.",
  );
});

test("where nothing is wrong there is nothing of it", () => {
  const calm = {
    ...said,
    tests: { ...said.tests, failing: 0, newly_failing: 0 },
    queue: { ...said.queue, depth: { count: 0, more: false } },
  };
  expect(sentenceMarkdown("default", calm).replace(/\[([^\]]+)\]\([^)]+\)/g, "$1")).toBe(
    "**default**: 0 of 214 tests failing; nothing waits; 6 of 7 runners online.",
  );
});
