import { type RefObject, useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";
import { ROW_PX } from "./rows";
import { isAdrift, lastTop, makeScale, type Place, placeAt, scrolled, shiftOf } from "./scroll";

const OVERSCAN = 20;
/** After so long without a step the box is put where its share says. */
const REST_MS = 150;

/** Where in sight a row is brought. */
export type Align = "start" | "center" | "end";
const SHARES = { start: 0, center: 0.5, end: 1 };

/** Which way a reader has scrolled. */
export type Move = { isUp: boolean; isAtEnd: boolean };

/** The rows in sight of a box that scrolls, and how to bring one there. */
export function useScroll(box: RefObject<HTMLElement | null>, rows: number, onMove: (move: Move) => void) {
  const [view, setView] = useState({ height: 600, width: 800 });
  const [place, setPlace] = useState<Place>({ top: 0, scrollTop: 0 });
  const at = useRef(place);
  const scale = makeScale(rows, ROW_PX, view.height);
  const latest = useRef({ scale, onMove });
  latest.current = { scale, onMove };
  const rest = useRef<ReturnType<typeof setTimeout>>(undefined);

  const put = useCallback((next: Place) => {
    at.current = next;
    setPlace(next);
  }, []);

  const moveTo = useCallback(
    (top: number) => {
      const element = box.current;
      if (!element) return;
      // As high as it is now: it may have been shown only just before.
      const next = placeAt({ ...latest.current.scale, view: element.clientHeight }, top);
      element.scrollTop = next.scrollTop;
      put({ top: next.top, scrollTop: element.scrollTop });
    },
    [box, put],
  );

  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const look = () => setView({ height: element.clientHeight, width: element.clientWidth });
    look();
    const watch = new ResizeObserver(look);
    watch.observe(element);
    const onScroll = () => {
      const before = at.current;
      const { scale: now, onMove: tell } = latest.current;
      const next = scrolled(now, before, element.scrollTop);
      if (next.scrollTop === before.scrollTop) return;
      put(next);
      tell({ isUp: next.top < before.top - 1, isAtEnd: next.top >= lastTop(now) - ROW_PX });
      clearTimeout(rest.current);
      if (isAdrift(now, next)) rest.current = setTimeout(() => moveTo(at.current.top), REST_MS);
    };
    element.addEventListener("scroll", onScroll, { passive: true });
    return () => {
      element.removeEventListener("scroll", onScroll);
      watch.disconnect();
      clearTimeout(rest.current);
    };
  }, [box, put, moveTo]);

  // Fewer rows than before: the place may not be there any more.
  useEffect(() => {
    const last = Math.max(0, rows * ROW_PX - view.height);
    if (at.current.top > last) moveTo(last);
  }, [rows, view.height, moveTo]);

  const showRow = useCallback(
    (row: number, align: Align) => {
      const free = Math.max(0, (box.current?.clientHeight ?? 0) - ROW_PX);
      moveTo(row * ROW_PX - Math.floor(free * SHARES[align]));
    },
    [box, moveTo],
  );

  return {
    /** How high the inside of the box is. */
    height: scale.box,
    /** How far below their own place rows are drawn. */
    shift: shiftOf(place),
    width: view.width,
    topRow: Math.ceil(place.top / ROW_PX),
    from: Math.max(0, Math.floor(place.top / ROW_PX) - OVERSCAN),
    to: Math.min(rows, Math.ceil((place.top + view.height) / ROW_PX) + OVERSCAN),
    viewHeight: view.height,
    showRow,
  };
}
