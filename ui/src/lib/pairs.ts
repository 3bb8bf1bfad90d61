/** Reads `key=value` lines. The first line that is none is told, so that a form can name it. */
export function parsePairs(text: string): { pairs: Record<string, string>; wrong?: string } {
  const pairs: Record<string, string> = {};
  for (const line of text.split("\n")) {
    if (line.trim() === "") continue;
    const at = line.indexOf("=");
    const key = line.slice(0, at).trim();
    if (at < 1 || key === "") return { pairs, wrong: line.trim() };
    pairs[key] = line.slice(at + 1).trim();
  }
  return { pairs };
}
