import { stripEscapes } from "~/lib/escapes";

/** The text of a log, line by line, as its bytes come in. A character may be cut by a range, so decoding goes on over it. */
export class LogText {
  private readonly decoder = new TextDecoder();
  private readonly lines: string[] = [];
  private open = "";
  /** How many bytes have been read. */
  bytes = 0;

  /** How many lines there are, the last unfinished one included. */
  get count(): number {
    return this.lines.length + (this.open ? 1 : 0);
  }

  /** A line, counted from 0, without escape sequences. */
  line(index: number): string {
    return stripEscapes(this.lines[index] ?? this.open);
  }

  /** Takes what comes behind the bytes before. Says whether that was anything. */
  append(chunk: Uint8Array): boolean {
    if (chunk.length === 0) return false;
    this.bytes += chunk.length;
    this.take(this.decoder.decode(chunk, { stream: true }));
    return true;
  }

  /** Says that nothing more comes. */
  end(): void {
    this.take(this.decoder.decode());
  }

  private take(text: string): void {
    const parts = (this.open + text).split("\n");
    this.open = parts.pop() ?? "";
    for (const part of parts) this.lines.push(part.endsWith("\r") ? part.slice(0, -1) : part);
  }
}
