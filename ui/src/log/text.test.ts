import { expect, test } from "vitest";
import { LogText } from "./text";

const bytes = (text: string) => new TextEncoder().encode(text);

test("a character that is cut by a range is put together again", () => {
  const log = new LogText();
  const all = bytes("grüße\nzwei");
  log.append(all.subarray(0, 3));
  log.append(all.subarray(3));
  log.end();
  expect([log.count, log.line(0), log.line(1)]).toEqual([2, "grüße", "zwei"]);
});

test("escape sequences are taken out, whatever they are", () => {
  const log = new LogText();
  log.append(bytes("\u001b[31mred\u001b[0m \u001b]8;;javascript:alert(1)\u0007link\u001b]8;;\u0007\n"));
  expect(log.line(0)).toBe("red link");
});
