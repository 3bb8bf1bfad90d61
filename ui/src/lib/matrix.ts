/** The keys of cells with their values, in the order in which they come. */
export function axes(cells: Record<string, string>[]): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const cell of cells) {
    for (const [key, value] of Object.entries(cell)) {
      const values = found.get(key) ?? [];
      if (!values.includes(value)) values.push(value);
      found.set(key, values);
    }
  }
  return found;
}

/** Whether two cells are the same. */
export function sameCell(a: Record<string, string>, b: Record<string, string>): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}

/** The labels as the server takes them in an address: `key=value` each. */
export function labelPairs(labels: Record<string, string> | undefined): string[] {
  return Object.entries(labels ?? {}).map(([key, value]) => `${key}=${value}`);
}
