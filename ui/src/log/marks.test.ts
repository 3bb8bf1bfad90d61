import { expect, test } from "vitest";
import { MAX_ANNOTATIONS, Marks, readCommand } from "./marks";

test("annotations tell their place, their title and their message", () => {
  expect(readCommand("::error file=src/a.rs,line=3,title=Oh%2C no::it%0Abroke: 5%25")).toEqual({
    kind: "error",
    message: "Oh, no: it\nbroke: 5%",
    at: "src/a.rs:3",
  });
  expect(readCommand("::warning::w")).toEqual({ kind: "warning", message: "w" });
  expect(readCommand("::notice file=C:\\a.txt::n")).toEqual({
    kind: "notice",
    message: "n",
    at: "C:\\a.txt",
  });
  expect(readCommand("::group::a::b")).toEqual({ kind: "group", title: "a::b" });
});

test("what is no command is text", () => {
  for (const text of ["::set-env name=x::y", " ::error::x", "::error", "a::error::b", "::errors::x"]) {
    expect(readCommand(text)).toBeUndefined();
  }
});

test("a group ends at its end, or where another begins; one without an end goes on", () => {
  const marks = new Marks();
  const lines = ["::group::a", "x", "::endgroup::", "::endgroup::", "::group::b", "y", "::group::c", "z"];
  for (const [at, line] of lines.entries()) marks.take(at, line);
  expect(marks.groups.map(({ line, end }) => [line, end])).toEqual([
    [0, 3],
    [4, 6],
    [6, Number.POSITIVE_INFINITY],
  ]);
  expect([...marks.ends]).toEqual([2]);
});

test("fifty annotations are kept, and all are counted", () => {
  const marks = new Marks();
  for (let line = 0; line < 120; line++) marks.take(line, `::error::${line}`);
  expect([marks.annotations.length, marks.totals.error, marks.errors.length]).toEqual([
    MAX_ANNOTATIONS,
    120,
    120,
  ]);
});
