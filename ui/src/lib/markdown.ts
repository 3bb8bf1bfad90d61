/**
 * Reads the Markdown that a test writes as its summary: the usual blocks, tables and inline marks. HTML is no part of it:
 * tags are text like any other, so nothing that a test writes becomes an element of ours but what is listed here.
 */
export type Inline =
  | { kind: "text"; text: string }
  | { kind: "code"; text: string }
  | { kind: "strong" | "em" | "del"; children: Inline[] }
  | { kind: "link"; href: string; children: Inline[] }
  | { kind: "break" };

/** A block of a summary. */
export type Block =
  | { kind: "heading"; level: number; children: Inline[] }
  | { kind: "paragraph"; children: Inline[] }
  | { kind: "code"; text: string }
  | { kind: "quote"; children: Block[] }
  | { kind: "list"; ordered: boolean; start: number; items: { done?: boolean; children: Block[] }[] }
  | { kind: "table"; head: Inline[][]; rows: Inline[][][] }
  | { kind: "rule" };

const FENCE = /^ {0,3}(`{3,}|~{3,})/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)(?:\s+#+)?\s*$/;
const RULE = /^ {0,3}(?:(?:\*\s*){3,}|(?:-\s*){3,}|(?:_\s*){3,})$/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])(\s+|$)(.*)$/;
const QUOTE = /^ {0,3}>\s?(.*)$/;
const TABLE_LINE = /^ {0,3}\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$/;
/** Nesting deeper than this is shown as text: a summary of 1 MiB could otherwise hold half a million quotes. */
const MAX_DEPTH = 8;
/** A longer paragraph is shown as text: looking for the ends of marks takes a time that grows with its square. */
const MAX_INLINE = 20_000;

/** Reads a text into blocks. */
export function parseMarkdown(text: string): Block[] {
  return blocks(text.replace(/\r\n?/g, "\n").split("\n"), 0);
}

function blocks(lines: string[], depth: number): Block[] {
  const list: Block[] = [];
  let i = 0;
  while (i < lines.length) {
    const line = lines[i] ?? "";
    if (line.trim() === "") {
      i++;
      continue;
    }
    const fence = FENCE.exec(line);
    if (fence) {
      const mark = fence[1] ?? "```";
      const from = ++i;
      while (
        i < lines.length &&
        !new RegExp(`^ {0,3}\\${mark[0]}{${mark.length},}\\s*$`).test(lines[i] ?? "")
      )
        i++;
      list.push({ kind: "code", text: lines.slice(from, i).join("\n") });
      i++;
      continue;
    }
    const heading = HEADING.exec(line);
    if (heading) {
      list.push({ kind: "heading", level: heading[1]?.length ?? 1, children: inline(heading[2] ?? "") });
      i++;
      continue;
    }
    if (RULE.test(line)) {
      list.push({ kind: "rule" });
      i++;
      continue;
    }
    if (QUOTE.test(line) && depth < MAX_DEPTH) {
      const inner: string[] = [];
      for (let m = QUOTE.exec(lines[i] ?? ""); i < lines.length && m; m = QUOTE.exec(lines[++i] ?? ""))
        inner.push(m[1] ?? "");
      list.push({ kind: "quote", children: blocks(inner, depth + 1) });
      continue;
    }
    if (ITEM.test(line) && depth < MAX_DEPTH) {
      const [block, next] = readList(lines, i, depth);
      list.push(block);
      i = next;
      continue;
    }
    if (line.includes("|") && TABLE_LINE.test(lines[i + 1] ?? "") && (lines[i + 1] ?? "").includes("-")) {
      const head = cells(line);
      i += 2;
      const rows: Inline[][][] = [];
      while (i < lines.length && (lines[i] ?? "").includes("|")) rows.push(cells(lines[i++] ?? ""));
      list.push({ kind: "table", head, rows });
      continue;
    }
    const from = i++;
    while (i < lines.length && !startsBlock(lines[i] ?? "", depth)) i++;
    list.push({
      kind: "paragraph",
      children: inline(
        lines
          .slice(from, i)
          .map((each) => each.trimStart())
          .join("\n"),
      ),
    });
  }
  return list;
}

function startsBlock(line: string, depth: number): boolean {
  if (line.trim() === "" || FENCE.test(line) || HEADING.test(line) || RULE.test(line)) return true;
  return depth < MAX_DEPTH && (QUOTE.test(line) || ITEM.test(line));
}

function readList(lines: string[], start: number, depth: number): [Block, number] {
  const first = ITEM.exec(lines[start] ?? "")!;
  const ordered = /\d/.test(first[2] ?? "");
  const items: { done?: boolean; children: Block[] }[] = [];
  let i = start;
  while (i < lines.length) {
    const item = ITEM.exec(lines[i] ?? "");
    if (!item || /\d/.test(item[2] ?? "") !== ordered || RULE.test(lines[i] ?? "")) break;
    const indent = (item[1] ?? "").length + (item[2] ?? "").length + 1;
    const inner = [item[4] ?? ""];
    i++;
    while (i < lines.length) {
      const line = lines[i] ?? "";
      const lead = line.length - line.trimStart().length;
      if (line.trim() === "") {
        const next = lines[i + 1] ?? "";
        if (next.length - next.trimStart().length < Math.min(indent, 2) || next.trim() === "") break;
        inner.push("");
      } else if (lead >= Math.min(indent, 2)) {
        inner.push(line.slice(Math.min(lead, indent)));
      } else {
        break;
      }
      i++;
    }
    const task = /^\[([ xX])\]\s+(.*)$/.exec(inner[0] ?? "");
    if (task) inner[0] = task[2] ?? "";
    items.push({ ...(task ? { done: task[1] !== " " } : {}), children: blocks(inner, depth + 1) });
    while (i < lines.length && (lines[i] ?? "").trim() === "" && ITEM.test(lines[i + 1] ?? "")) i++;
  }
  const number = Number.parseInt(first[2] ?? "1", 10);
  return [{ kind: "list", ordered, start: Number.isNaN(number) ? 1 : number, items }, i];
}

function cells(line: string): Inline[][] {
  const trimmed = line
    .trim()
    .replace(/^\|/, "")
    .replace(/(?<!\\)\|$/, "");
  return trimmed.split(/(?<!\\)\|/).map((cell) => inline(cell.trim().replaceAll("\\|", "|")));
}

/** An address that may be a link: no `javascript:`, no `data:`, nothing relative to a page of ours. */
export function safeHref(address: string): string | undefined {
  return /^(?:https?:\/\/|mailto:)/i.test(address) ? address : undefined;
}

const INLINE = new RegExp(
  [
    String.raw`(?<escape>\\[!-/:-@[-\`{-~])`,
    String.raw`(?<tick>\`+)(?!\`)(?<code>[\s\S]*?[^\`])\k<tick>(?!\`)`,
    String.raw`(?<link>!?\[(?<label>(?:[^[\]\\]|\\.)*)\]\(\s*<?(?<address>[^\s<>()]*(?:\([^\s<>()]*\)[^\s<>()]*)*)>?(?:\s+["'][^"']*["'])?\s*\))`,
    String.raw`<?(?<auto>https?:\/\/[^\s<>()[\]"'\`]+[^\s<>()[\]"'\`.,;:!?*_~])>?`,
    String.raw`(?<bold>\*\*|__)(?=\S)(?<strong>(?:(?!\k<bold>)[\s\S])*?\S)\k<bold>`,
    String.raw`~~(?=\S)(?<del>(?:(?!~~)[\s\S])*?\S)~~`,
    String.raw`(?<![A-Za-z0-9*_])(?<mark>[*_])(?=[^\s*_])(?<em>(?:(?!\k<mark>)[\s\S])*?[^\s])\k<mark>(?![A-Za-z0-9])`,
    String.raw`(?<hard> {2,}\n|\\\n)`,
  ]
    .join("|")
    .replaceAll("\\`", "`"),
  "g",
);

/** Reads the marks within a line. */
export function inline(text: string, depth = 0): Inline[] {
  if (depth > 4 || text.length > MAX_INLINE) return [{ kind: "text", text }];
  const list: Inline[] = [];
  let from = 0;
  const plain = (part: string) => {
    if (part) list.push({ kind: "text", text: part });
  };
  for (const match of text.matchAll(INLINE)) {
    const g = match.groups ?? {};
    plain(text.slice(from, match.index));
    from = match.index + match[0].length;
    if (g.escape) plain(g.escape.slice(1));
    else if (g.code) list.push({ kind: "code", text: g.code.replace(/^ (.+) $/, "$1") });
    else if (g.link) list.push(...link(g.label ?? "", g.address ?? "", depth));
    else if (g.auto) list.push({ kind: "link", href: g.auto, children: [{ kind: "text", text: g.auto }] });
    else if (g.strong) list.push({ kind: "strong", children: inline(g.strong, depth + 1) });
    else if (g.del) list.push({ kind: "del", children: inline(g.del, depth + 1) });
    else if (g.em) list.push({ kind: "em", children: inline(g.em, depth + 1) });
    else list.push({ kind: "break" });
  }
  plain(text.slice(from));
  return list;
}

function link(label: string, address: string, depth: number): Inline[] {
  const href = safeHref(address);
  const children = inline(label || address, depth + 1);
  // An image is a link, too: our Content-Security-Policy loads none from elsewhere, and a picture could count readers.
  return href ? [{ kind: "link", href, children }] : children;
}
