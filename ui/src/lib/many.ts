/** What became of one of many. */
export interface Outcome<T, R> {
  item: T;
  /** What the action gave; absent where it failed. */
  made?: R;
  error?: unknown;
}

/**
 * Does the same with many things, one after the other: a hundred requests at once would only wait for each other. One that
 * fails does not keep the others from their turn, unless `isFinal` says that all would fail so.
 */
export async function doMany<T, R>(
  items: readonly T[],
  act: (item: T) => Promise<R>,
  tell: (outcome: Outcome<T, R>) => void,
  isFinal: (error: unknown) => boolean,
): Promise<void> {
  for (const item of items) {
    try {
      tell({ item, made: await act(item) });
    } catch (error) {
      tell({ item, error });
      if (isFinal(error)) return;
    }
  }
}
