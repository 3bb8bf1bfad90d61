/** A line of a difference. */
export interface DiffLine {
  change: "same" | "removed" | "added";
  text: string;
}

/**
 * The lines that two texts share and do not, by their longest common subsequence. Made for configurations of some hundred
 * lines; what the two have in common at both ends is set aside first.
 */
export function diffLines(before: string[], after: string[]): DiffLine[] {
  let head = 0;
  while (head < before.length && head < after.length && before[head] === after[head]) head++;
  let tail = 0;
  while (
    tail < before.length - head &&
    tail < after.length - head &&
    before[before.length - 1 - tail] === after[after.length - 1 - tail]
  ) {
    tail++;
  }
  const a = before.slice(head, before.length - tail);
  const b = after.slice(head, after.length - tail);
  const same = (text: string): DiffLine => ({ change: "same", text });
  return [
    ...before.slice(0, head).map(same),
    ...middle(a, b),
    ...before.slice(before.length - tail).map(same),
  ];
}

function middle(a: string[], b: string[]): DiffLine[] {
  // common[i][j]: the length of the longest common subsequence of a from i and b from j.
  const width = b.length + 1;
  const common = new Uint32Array((a.length + 1) * width);
  const at = (i: number, j: number) => common[i * width + j] ?? 0;
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      common[i * width + j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const lines: DiffLine[] = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      lines.push({ change: "same", text: a[i] ?? "" });
      i++;
      j++;
    } else if (i < a.length && (j === b.length || at(i + 1, j) >= at(i, j + 1))) {
      lines.push({ change: "removed", text: a[i++] ?? "" });
    } else {
      lines.push({ change: "added", text: b[j++] ?? "" });
    }
  }
  return lines;
}

/** Leaves out the same lines that are further than `around` from a change; `hidden` says how many stood there. */
export function foldSame(lines: DiffLine[], around = 3): (DiffLine | { hidden: number })[] {
  const near = lines.map(() => false);
  lines.forEach((line, index) => {
    if (line.change === "same") return;
    for (let i = Math.max(0, index - around); i <= Math.min(lines.length - 1, index + around); i++)
      near[i] = true;
  });
  const folded: (DiffLine | { hidden: number })[] = [];
  let hidden = 0;
  lines.forEach((line, index) => {
    if (near[index]) {
      if (hidden > 0) folded.push({ hidden });
      hidden = 0;
      folded.push(line);
    } else {
      hidden++;
    }
  });
  if (hidden > 0) folded.push({ hidden });
  return folded;
}
