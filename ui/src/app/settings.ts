import { keptStore, useStore } from "~/lib/store";
import { zoneName } from "~/lib/time";

/** `system`, `light` or `dark`. public/theme.js reads the same key before the first paint. */
export const themeChoice = keptStore("tstr.theme", "system");

/** `utc`, `local` or the name of a zone. */
export const zoneChoice = keptStore("tstr.zone", "utc");

/** Whether single keys are shortcuts: `on` or `off` (WCAG 2.1.4 wants a way to turn them off). */
export const keysChoice = keptStore("tstr.keys", "on");

const systemDark = globalThis.matchMedia?.("(prefers-color-scheme: dark)");

function show(): void {
  const choice = themeChoice.get();
  const dark = choice === "dark" || (choice !== "light" && systemDark?.matches === true);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
}

/** Follows the choice and the system from now on. */
export function followTheme(): void {
  show();
  themeChoice.subscribe(show);
  systemDark?.addEventListener("change", show);
}

/** The IANA name of the zone that times are shown in. */
export function useZone(): string {
  return zoneName(useStore(zoneChoice));
}
