/** The lines that a fragment names: `#L120` or `#L120-L140`. */
export function parseAnchor(hash: string): { from: number; to: number } | undefined {
  const match = /^#?L(\d{1,9})(?:-L?(\d{1,9}))?$/.exec(hash);
  if (!match) return undefined;
  const from = Number(match[1]);
  const to = match[2] === undefined ? from : Number(match[2]);
  return from > 0 && to > 0 ? { from: Math.min(from, to), to: Math.max(from, to) } : undefined;
}

/** The fragment of lines, without its `#`. */
export function formatAnchor({ from, to }: { from: number; to: number }): string {
  return from === to ? `L${from}` : `L${from}-L${to}`;
}
