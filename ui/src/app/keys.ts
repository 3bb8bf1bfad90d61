import { useEffect, useRef } from "react";
import { makeStore } from "~/lib/store";
import { keysChoice } from "./settings";

/** A shortcut: `r`, `?`, or two keys after each other as in `g t`. */
export interface Key {
  keys: string;
  /** What it does, for the help. */
  says: string;
  run: () => void;
}

/** Sets of shortcuts that hold now; the latest one wins, so a page may take a key from the frame. */
const sets = makeStore<readonly (readonly Key[])[]>([]);

/** Everything that holds now, for the help. */
export const activeKeys = sets;

const SEQUENCE_MS = 1_200;
/** How long a key that is a shortcut itself waits for a second one, where it begins others: `g` beside `g d`. */
const ALONE_MS = 400;
let prefix = "";
let prefixAt = 0;
let alone: ReturnType<typeof setTimeout> | undefined;

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
  );
}

function onKey(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (keysChoice.get() === "off" || isTyping(event.target) || document.querySelector("dialog[open]")) return;
  const now = performance.now();
  const before = now - prefixAt < SEQUENCE_MS ? prefix : "";
  prefix = "";
  clearTimeout(alone);
  const all = [...sets.get()].reverse().flat();
  const wanted = before ? `${before} ${event.key}` : event.key;
  const found = all.find((key) => key.keys === wanted) ?? all.find((key) => key.keys === event.key);
  const isSecond = before !== "" && found?.keys === wanted;
  const begins = !isSecond && all.some((key) => key.keys.startsWith(`${event.key} `));
  if (found) event.preventDefault();
  if (begins) {
    prefix = event.key;
    prefixAt = now;
    if (found) alone = setTimeout(found.run, ALONE_MS);
  } else {
    found?.run();
  }
}

/** Starts listening for shortcuts. */
export function followKeys(): () => void {
  document.addEventListener("keydown", onKey);
  return () => document.removeEventListener("keydown", onKey);
}

/** Shortcuts that hold while a component is shown. What they do may change from one drawing to the next. */
export function useKeys(keys: readonly Key[]): void {
  const latest = useRef(keys);
  latest.current = keys;
  const names = keys.map((key) => `${key.keys}\t${key.says}`).join("\n");
  useEffect(() => {
    if (!names) return;
    const set = names.split("\n").map((line) => {
      const [name = "", says = ""] = line.split("\t");
      return { keys: name, says, run: () => latest.current.find((key) => key.keys === name)?.run() };
    });
    sets.set([...sets.get(), set]);
    return () => sets.set(sets.get().filter((each) => each !== set));
  }, [names]);
}
