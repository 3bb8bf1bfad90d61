/** What lines of the form `::error file=a.rs,line=3::message` say: groups that can be folded, and annotations. */

/** How bad what an annotation says is. */
export type Level = "error" | "warning" | "notice";

/** A line that a test wants to be seen. Lines are counted from 0. */
export interface Annotation {
  line: number;
  level: Level;
  message: string;
  /** `src/cart.rs:12`, when it says where. */
  at?: string;
}

/** Lines that belong together: from the one with the title to before `end`. */
export interface Group {
  line: number;
  end: number;
  title: string;
}

/** What a line says, when it is a command. */
export type Command =
  | { kind: "group"; title: string }
  | { kind: "endgroup" }
  | { kind: Level; message: string; at?: string };

/** How many annotations are kept; of the others only the number. */
export const MAX_ANNOTATIONS = 50;
const MAX_GROUPS = 20_000;
const MAX_ERRORS = 100_000;
const MAX_MESSAGE = 1_000;

const COMMAND = /^::(group|endgroup|error|warning|notice)( [^:\n]*(?::(?!:)[^:\n]*)*)?::(.*)$/;

/** Reads a line as a command. */
export function readCommand(text: string): Command | undefined {
  if (!text.startsWith("::")) return undefined;
  const match = COMMAND.exec(text);
  if (!match) return undefined;
  const [, word, fields = "", rest = ""] = match;
  if (word === "endgroup") return { kind: "endgroup" };
  if (word === "group") return { kind: "group", title: rest.slice(0, MAX_MESSAGE) };
  const named: Record<string, string> = Object.create(null);
  for (const field of fields.trim().split(",")) {
    const equals = field.indexOf("=");
    if (equals > 0) named[field.slice(0, equals).trim()] = unescapeField(field.slice(equals + 1));
  }
  const message = unescapeData(rest).slice(0, MAX_MESSAGE);
  const at = named.file ? `${named.file}${named.line ? `:${named.line}` : ""}` : undefined;
  return {
    kind: word as Level,
    message: named.title ? `${named.title}: ${message}` : message,
    ...(at ? { at } : {}),
  };
}

function unescapeData(text: string): string {
  return text.replaceAll("%0D", "\r").replaceAll("%0A", "\n").replaceAll("%25", "%");
}

function unescapeField(text: string): string {
  return text
    .replaceAll("%0D", "\r")
    .replaceAll("%0A", "\n")
    .replaceAll("%3A", ":")
    .replaceAll("%2C", ",")
    .replaceAll("%25", "%");
}

/** The groups and annotations of a log, as its lines come in. A group within a group ends the one before it. */
export class Marks {
  readonly groups: Group[] = [];
  readonly annotations: Annotation[] = [];
  /** The lines of all errors, those beyond the annotations that are kept included. */
  readonly errors: number[] = [];
  /** The lines that end a group; they say nothing themselves. */
  readonly ends = new Set<number>();
  readonly totals: Record<Level, number> = { error: 0, warning: 0, notice: 0 };
  private isOpen = false;

  /** Takes a line that begins with two colons. */
  take(line: number, text: string): void {
    const command = readCommand(text);
    if (!command) return;
    if (command.kind === "group") {
      this.close(line);
      if (this.groups.length >= MAX_GROUPS) return;
      this.groups.push({ line, end: Number.POSITIVE_INFINITY, title: command.title });
      this.isOpen = true;
    } else if (command.kind === "endgroup") {
      // The line that ends it belongs to it, and is folded with it.
      if (this.isOpen) this.ends.add(line);
      this.close(line + 1);
    } else {
      this.totals[command.kind] += 1;
      if (command.kind === "error" && this.errors.length < MAX_ERRORS) this.errors.push(line);
      if (this.annotations.length < MAX_ANNOTATIONS) {
        const { kind: level, message, at } = command;
        this.annotations.push({ line, level, message, ...(at ? { at } : {}) });
      }
    }
  }

  private close(end: number): void {
    const last = this.groups.at(-1);
    if (this.isOpen && last) last.end = end;
    this.isOpen = false;
  }
}
