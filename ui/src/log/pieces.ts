import { columns, PLAIN, parse, type Sgr, type Span } from "./ansi";
import { look } from "./colours";
import { decorate, type Piece } from "./decorate";
import { readCommand } from "./marks";
import type { Drawn } from "./protocol";

const WORDS = { error: "Error", warning: "Warning", notice: "Notice" };
const TONES = { error: 1, warning: 3, notice: 4 };

/** The pieces of a line as it is drawn: commands are told in words. */
export function piecesOf(text: string, sgr: Sgr, found: RegExp | undefined): Piece[] {
  const command = readCommand(text);
  if (!command) return decorate(parse(text, sgr).spans, found);
  if (command.kind === "endgroup") return [];
  if (command.kind === "group") {
    return decorate(parse(command.title || "Group", { ...PLAIN, flags: 1 }).spans, found);
  }
  const tone = { ...PLAIN, fg: TONES[command.kind] };
  const head: Span = { text: `${WORDS[command.kind]}: `, sgr: { ...tone, flags: 1 } };
  const body = parse(command.message.replaceAll(/[\r\n]+/g, " · "), tone).spans;
  const at: Span[] = command.at ? parse(` (${command.at})`).spans : [];
  return decorate([head, ...body, ...at], found);
}

/** What of them stands in a row of a line that is wrapped after so many columns; 0 is never. */
export function partOf(pieces: Piece[], part: number, wrapAt: number): Drawn[] {
  const inRow = wrapAt > 0 ? columns(pieces, part * wrapAt, (part + 1) * wrapAt) : pieces;
  return inRow.map(({ text, sgr, href, isFound }) => {
    const { className, style } = look(sgr);
    const classes = [className, isFound ? "log-found" : "", href ? "underline" : ""]
      .filter(Boolean)
      .join(" ");
    return {
      text,
      ...(classes ? { className: classes } : {}),
      ...(style ? { style } : {}),
      ...(href ? { href } : {}),
    };
  });
}
