import { type RefObject, useCallback, useEffect, useState } from "react";

const OVERSCAN = 8;

/** Which rows of a long list are in sight, and how to bring one there. */
export interface WindowRows {
  from: number;
  to: number;
  reveal: (row: number) => void;
}

/**
 * The rows in sight of a list that scrolls with the page. All rows are equally high, so nothing is measured; that is a tenth
 * of the code of a virtualiser that measures.
 */
export function useWindowRows(
  list: RefObject<HTMLElement | null>,
  count: number,
  height: number,
): WindowRows {
  const [range, setRange] = useState({ from: 0, to: Math.min(count, 30) });
  useEffect(() => {
    const look = () => {
      const top = list.current?.getBoundingClientRect().top ?? 0;
      const from = Math.max(0, Math.floor(-top / height) - OVERSCAN);
      const to = Math.min(count, Math.ceil((innerHeight - top) / height) + OVERSCAN);
      // The same range is the same state: scrolling within it draws nothing.
      setRange((before) => (before.from === from && before.to === to ? before : { from, to }));
    };
    look();
    addEventListener("scroll", look, { passive: true });
    addEventListener("resize", look);
    return () => {
      removeEventListener("scroll", look);
      removeEventListener("resize", look);
    };
  }, [list, count, height]);
  const reveal = useCallback(
    (row: number) => {
      const top = (list.current?.getBoundingClientRect().top ?? 0) + row * height;
      // Below the top bar, and not at the very edge.
      if (top < 60) scrollBy(0, top - 60);
      else if (top + height > innerHeight - 8) scrollBy(0, top + height - innerHeight + 8);
    },
    [list, height],
  );
  return { from: Math.min(range.from, count), to: Math.min(range.to, count), reveal };
}
