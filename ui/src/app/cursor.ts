import { useState } from "react";

/** Where the keys of a list stand. */
export interface Cursor {
  /** The row, while it is in the list. */
  id: string | undefined;
  next: () => void;
  previous: () => void;
}

/** Moves over the rows of a list. It stands at a row and not at a place: rows that come in above must not move it on. */
export function useCursor(ids: readonly string[]): Cursor {
  const [id, setId] = useState<string>();
  const at = id === undefined ? -1 : ids.indexOf(id);
  return {
    id: ids[at],
    next: () => setId(ids[Math.min(at + 1, ids.length - 1)]),
    previous: () => setId(ids[Math.max(at - 1, 0)]),
  };
}
