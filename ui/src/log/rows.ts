import { type RefObject, useCallback, useEffect, useState } from "react";

/** Which rows are in sight, and how to bring one there. */
export interface Rows {
  from: number;
  to: number;
  scrollTo: (row: number, align: "center" | "end") => void;
}

const OVERSCAN = 20;

/** The rows in sight of a box that scrolls; all rows are equally high, so no measuring is needed. */
export function useRows(box: RefObject<HTMLElement | null>, count: number, height: number): Rows {
  const [view, setView] = useState({ top: 0, height: 600 });
  const isEmpty = count === 0;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the box is there only once there are rows
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const look = () => setView({ top: element.scrollTop, height: element.clientHeight });
    look();
    element.addEventListener("scroll", look, { passive: true });
    const watch = new ResizeObserver(look);
    watch.observe(element);
    return () => {
      element.removeEventListener("scroll", look);
      watch.disconnect();
    };
  }, [box, isEmpty]);
  const scrollTo = useCallback(
    (row: number, align: "center" | "end") => {
      const element = box.current;
      if (!element) return;
      const free = element.clientHeight - height;
      element.scrollTop = row * height - (align === "end" ? free : free / 2);
    },
    [box, height],
  );
  return {
    from: Math.max(0, Math.floor(view.top / height) - OVERSCAN),
    to: Math.min(count, Math.ceil((view.top + view.height) / height) + OVERSCAN),
    scrollTo,
  };
}
