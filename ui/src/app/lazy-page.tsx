import type { ComponentType } from "react";
import { lazy } from "~/parts/lazy";

/**
 * A page whose file is loaded when it is first shown. The router's own way reloads the whole document when that fails; with
 * the server away a person would lose what is on the screen. Here the error is shown in the place of the page, and asking
 * again loads again.
 */
export function lazyPage<T extends object, N extends keyof T>(load: () => Promise<T>, name: N) {
  // The types of pages depend on those of routes, so asking for the type of a component would go round in a circle.
  return lazy(() => load().then((module) => ({ default: module[name] as ComponentType })));
}
