import { useSyncExternalStore } from "react";

// One timer for all relative times of a page: a list shows hundreds of them.
let now = new Date();
const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  if (timer === undefined) {
    now = new Date();
    timer = setInterval(() => {
      now = new Date();
      for (const each of listeners) each();
    }, 1_000);
  }
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}

const frozen = () => () => {};

/** The time of now, every second. With `ticking` false it stays as it is, and costs nothing. */
export function useNow(ticking = true): Date {
  return useSyncExternalStore(ticking ? subscribe : frozen, () => now);
}

/** What `of` makes of the time of now; the component is drawn again only when that changes. */
export function useOfNow(of: (now: Date) => string): string {
  return useSyncExternalStore(subscribe, () => of(now));
}
