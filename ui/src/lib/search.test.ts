import { expect, test } from "vitest";
import { parseSearch, stringifySearch, texts, whole, word, words } from "./search";

test("a search survives the address", () => {
  const search = { q: "a b&c=d", label: ["k=v", "os=linux"], state: "fail", empty: "", none: undefined };
  const text = stringifySearch(search);
  expect(text).toBe("?q=a+b%26c%3Dd&label=k%3Dv&label=os%3Dlinux&state=fail");
  expect(parseSearch(text)).toEqual({ q: "a b&c=d", label: ["k=v", "os=linux"], state: "fail" });
});

test("numbers and words of programs stay text", () => {
  expect(parseSearch("?test=123&q=true&r=null")).toEqual({ test: "123", q: "true", r: "null" });
});

test("an empty search has no question mark", () => {
  expect(stringifySearch({})).toBe("");
});

test("what a page does not know is dropped", () => {
  expect(word("tab", ["log", "cases"])).toBeUndefined();
  expect(words(["fail", "nonsense", "pass"], ["pass", "fail"])).toEqual(["fail", "pass"]);
  expect(texts(["", undefined])).toBeUndefined();
  expect([whole("12"), whole("-1"), whole("1e3"), whole("99999999999")]).toEqual([
    12,
    undefined,
    undefined,
    undefined,
  ]);
});
