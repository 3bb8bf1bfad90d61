/** A folder or a file of a tree. */
export interface Node<F> {
  name: string;
  path: string;
  /** Absent for a folder. */
  file?: F;
  children: Node<F>[];
  bytes: number;
}

/** Makes a tree of paths; folders come first, and one that holds a single folder is joined with it. */
export function tree<F extends { path: string; bytes: number }>(files: F[]): Node<F>[] {
  const root: Node<F> = { name: "", path: "", children: [], bytes: 0 };
  for (const file of files) {
    let at = root;
    const parts = file.path.split("/");
    parts.forEach((name, index) => {
      at.bytes += file.bytes;
      if (index === parts.length - 1) {
        at.children.push({ name, path: file.path, file, children: [], bytes: file.bytes });
        return;
      }
      let next = at.children.find((each) => !each.file && each.name === name);
      if (!next) {
        next = { name, path: parts.slice(0, index + 1).join("/"), children: [], bytes: 0 };
        at.children.push(next);
      }
      at = next;
    });
  }
  return tidy(root.children);
}

function tidy<F>(nodes: Node<F>[]): Node<F>[] {
  return nodes
    .map((node) => {
      let each = node;
      while (!each.file && each.children.length === 1 && each.children[0] && !each.children[0].file) {
        const only = each.children[0];
        each = { ...only, name: `${each.name}/${only.name}` };
      }
      return { ...each, children: tidy(each.children) };
    })
    .sort(
      (a, b) =>
        Number(!!a.file) - Number(!!b.file) || a.name.localeCompare(b.name, undefined, { numeric: true }),
    );
}
