/**
 * Scrolling over more rows than an element can be high: Chromium clamps at 33,554,428 px, Firefox near 17.9 million. Past
 * `MAX_PX` the box that scrolls is kept at that, and its range is stretched over the rows. Small steps still move one for
 * one, so that a wheel or an arrow key goes as far as everywhere else; only jumps go by the share.
 */
export const MAX_PX = 8_000_000;

/** How high the rows are together, and how high the box may be for it. */
export interface Scale {
  /** Height of all rows. */
  content: number;
  /** Height of what scrolls. */
  box: number;
  /** Height of what is in sight. */
  view: number;
}

/** Where a reader is: the pixel of the rows that stands at the top, and where the box was scrolled to for it. */
export interface Place {
  top: number;
  scrollTop: number;
}

export function makeScale(rows: number, rowPx: number, view: number): Scale {
  const content = rows * rowPx;
  return { content, box: Math.min(content, MAX_PX), view };
}

function share(scale: Scale): number {
  const far = scale.box - scale.view;
  return far <= 0 ? 1 : Math.max(1, (scale.content - scale.view) / far);
}

/** The highest top there is. */
export function lastTop(scale: Scale): number {
  return Math.max(0, scale.content - scale.view);
}

function within(top: number, scale: Scale): number {
  return Math.min(Math.max(0, top), lastTop(scale));
}

/** The place after the box has been scrolled. */
export function scrolled(scale: Scale, before: Place, scrollTop: number): Place {
  const far = share(scale);
  if (far === 1) return { top: within(scrollTop, scale), scrollTop };
  const step = scrollTop - before.scrollTop;
  if (step === 0) return { top: within(before.top, scale), scrollTop };
  const isAtEdge = scrollTop <= 0 || scrollTop >= scale.box - scale.view - 1;
  if (Math.abs(step) > scale.view * 2 || isAtEdge) return { top: within(scrollTop * far, scale), scrollTop };
  return { top: within(before.top + step, scale), scrollTop };
}

/** The place at which this pixel of the rows stands at the top. */
export function placeAt(scale: Scale, top: number): Place {
  const inside = within(top, scale);
  return { top: inside, scrollTop: inside / share(scale) };
}

/** Whether the steps have taken the box away from where its share says it should be, so that it should be put right. */
export function isAdrift(scale: Scale, place: Place): boolean {
  return Math.abs(placeAt(scale, place.top).scrollTop - place.scrollTop) > 1;
}

/** How far below their own place rows are drawn. */
export function shiftOf(place: Place): number {
  return place.scrollTop - place.top;
}
