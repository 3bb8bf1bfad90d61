import { useSyncExternalStore } from "react";

/** A value outside React that components can subscribe to. */
export interface Store<T> {
  get(): T;
  set(next: T): void;
  subscribe(listener: () => void): () => void;
}

/** Makes a store that forgets when the page goes. */
export function makeStore<T>(initial: T): Store<T> {
  let value = initial;
  const listeners = new Set<() => void>();
  return {
    get: () => value,
    set(next) {
      if (Object.is(next, value)) return;
      value = next;
      for (const listener of listeners) listener();
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/**
 * Makes a store of one word that localStorage keeps, and that follows changes of it in other tabs. Where storage is
 * forbidden the store works and forgets.
 */
export function keptStore(key: string, initial: string): Store<string> {
  const read = () => {
    try {
      return localStorage.getItem(key) ?? initial;
    } catch {
      return initial;
    }
  };
  const store = makeStore(read());
  addEventListener("storage", (event) => {
    if (event.key === key) store.set(event.newValue ?? initial);
  });
  return {
    ...store,
    set(next) {
      try {
        localStorage.setItem(key, next);
      } catch {
        // Kept for this page only.
      }
      store.set(next);
    },
  };
}

/** The value of a store, followed. */
export function useStore<T>(store: Store<T>): T {
  return useSyncExternalStore(store.subscribe, store.get, store.get);
}
