import { expect, test } from "vitest";
import { type Inline, inline, parseMarkdown } from "./markdown";

const flat = (list: Inline[]): string =>
  list
    .map((each) =>
      "text" in each
        ? each.kind === "code"
          ? `\`${each.text}\``
          : each.text
        : "children" in each
          ? `${each.kind}(${flat(each.children)})`
          : "⏎",
    )
    .join("");

test("inline marks become elements of a closed list", () => {
  expect(flat(inline("**bold** and *thin*, `a*b*c`, ~~gone~~"))).toBe(
    "strong(bold) and em(thin), `a*b*c`, del(gone)",
  );
  expect(flat(inline("snake_case_name stays"))).toBe("snake_case_name stays");
  expect(flat(inline("``a ` b`` \\*no\\*"))).toBe("`a ` b` *no*");
});

test("html is text", () => {
  expect(flat(inline("<img src=x onerror=alert(1)> <b>x</b>"))).toBe("<img src=x onerror=alert(1)> <b>x</b>");
});

test("only addresses that cannot run anything are links", () => {
  expect(flat(inline("[a](javascript:alert(1)) [b](https://x.example/y) ![c](data:text/html,x)"))).toBe(
    "a link(b) c",
  );
  expect(flat(inline("see https://x.example/a_b."))).toBe("see link(https://x.example/a_b).");
});

test("blocks are found", () => {
  const blocks = parseMarkdown(
    "# Title\n\ntext\nmore\n\n- [x] one\n- two\n  - deep\n\n1. a\n2. b\n\n> said\n\n```js\n<b>\n```\n\n---\n|a|b|\n|-|-|\n|1|2\\|3|\n",
  );
  expect(blocks.map((block) => block.kind)).toEqual([
    "heading",
    "paragraph",
    "list",
    "list",
    "quote",
    "code",
    "rule",
    "table",
  ]);
  const list = blocks[2];
  expect(list?.kind === "list" && list.items.map((item) => [item.done, item.children.length])).toEqual([
    [true, 1],
    [undefined, 2],
  ]);
  const table = blocks[7];
  expect(table?.kind === "table" && table.rows[0]?.map(flat)).toEqual(["1", "2|3"]);
});

test("a text that is made to be slow is read in time", () => {
  const started = performance.now();
  parseMarkdown(`${"> ".repeat(50_000)}x`);
  parseMarkdown("**a ".repeat(4_000));
  parseMarkdown(`${"[".repeat(9_000)}\n\n${"*_".repeat(4_000)}\n\n${"`".repeat(8_000)}a`);
  expect(performance.now() - started).toBeLessThan(2_000);
});
