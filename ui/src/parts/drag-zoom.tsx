import { type PointerEvent, type ReactNode, useCallback, useEffect, useRef, useState } from "react";
import { type Plot, spanBetween, within } from "~/lib/zoom";

interface Drag extends Plot {
  /** Where it began and where it is, from the left of the chart. */
  start: number;
  end: number;
  /** Where the chart stands in the box. */
  top: number;
  offset: number;
  height: number;
  /** Where the chart begins in the window. */
  edge: number;
}

/**
 * Lets the time of a chart be narrowed: with Shift held, a drag over it says which part. It needs a pointer, so whoever
 * offers it has fields for the time as well. Without `onZoom` it is only a box.
 */
export function DragZoom({
  from,
  to,
  left = 0,
  right = 0,
  onZoom,
  children,
}: {
  /** The time at the left and at the right of the chart, in milliseconds since 1970. */
  from: number;
  to: number;
  /** How many pixels at its sides are none of it. */
  left?: number;
  right?: number;
  onZoom?: ((from: number, to: number) => void) | undefined;
  children: ReactNode;
}) {
  const box = useRef<HTMLDivElement>(null);
  const [drag, setDrag] = useState<Drag>();
  // The same for the listeners of the window, which outlive a drawing.
  const latest = useRef<Drag>(undefined);
  const put = useCallback((next: Drag | undefined) => {
    latest.current = next;
    setDrag(next);
  }, []);
  const wasDragged = useRef(false);
  const isDragging = drag !== undefined;

  // The pointer may leave the chart, and come up outside of it.
  useEffect(() => {
    if (!isDragging) return;
    const move = (event: globalThis.PointerEvent) => {
      const { current } = latest;
      if (current) put({ ...current, end: event.clientX - current.edge });
    };
    const up = () => {
      const { current } = latest;
      put(undefined);
      const span = current && spanBetween(current.start, current.end, current, from, to);
      if (!span) return;
      wasDragged.current = true;
      onZoom?.(span.from, span.to);
    };
    const stop = () => put(undefined);
    const onKey = (event: KeyboardEvent) => {
      if (event.key === "Escape") stop();
    };
    addEventListener("pointermove", move);
    addEventListener("pointerup", up);
    addEventListener("pointercancel", stop);
    addEventListener("keydown", onKey);
    return () => {
      removeEventListener("pointermove", move);
      removeEventListener("pointerup", up);
      removeEventListener("pointercancel", stop);
      removeEventListener("keydown", onKey);
    };
  }, [isDragging, from, to, onZoom, put]);

  const begin = (event: PointerEvent) => {
    wasDragged.current = false;
    const chart = (event.target as Element).closest?.('[role="slider"]');
    if (!onZoom || !event.shiftKey || event.button !== 0 || !chart || !box.current) return;
    // Else the drag would select text.
    event.preventDefault();
    const place = chart.getBoundingClientRect();
    const outer = box.current.getBoundingClientRect();
    const start = event.clientX - place.left;
    put({
      start,
      end: start,
      edge: place.left,
      width: place.width,
      height: place.height,
      top: place.top - outer.top,
      offset: place.left - outer.left,
      left,
      right,
    });
  };

  return (
    <div
      ref={box}
      className="relative"
      onPointerDownCapture={begin}
      onClickCapture={(event) => {
        // The end of a drag is a click as well, which must not open anything.
        if (wasDragged.current) event.stopPropagation();
        wasDragged.current = false;
      }}
    >
      {children}
      {drag ? (
        <div
          aria-hidden="true"
          data-testid="span"
          className="pointer-events-none absolute rounded-sm border-x border-accent bg-accent/15"
          style={{
            left: drag.offset + within(Math.min(drag.start, drag.end), drag),
            width:
              within(Math.max(drag.start, drag.end), drag) - within(Math.min(drag.start, drag.end), drag),
            top: drag.top,
            height: drag.height,
          }}
        />
      ) : null}
    </div>
  );
}
