import { type ComponentProps, type ComponentType, createElement, type ReactNode, use } from "react";

/** For so long a failure is the answer: React draws again at once when one comes, and must not ask again by that. */
const FAILED_MS = 1_000;

/**
 * A part whose file is loaded when it is first shown. React's own `lazy` keeps a failure for ever; here somebody who tries
 * again asks for the file again.
 */
// biome-ignore lint/suspicious/noExplicitAny: as React's own: a component of any properties
export function lazy<T extends ComponentType<any>>(load: () => Promise<{ default: T }>) {
  let loading: Promise<T> | undefined;
  const preload = () => {
    if (loading) return loading;
    const asked = load().then((module) => module.default);
    asked.then(
      // What is there must not be waited for: React holds a page back for 300 ms after it has shown that it waits, and reads
      // these two fields before it waits.
      (value) => Object.assign(asked, { status: "fulfilled", value }),
      () => {
        setTimeout(() => {
          loading = undefined;
        }, FAILED_MS);
      },
    );
    loading = asked;
    return asked;
  };
  // biome-ignore lint/correctness/noComponentHookFactories: called once for each part, when its module is loaded
  function Part(props: ComponentProps<T>): ReactNode {
    return createElement(use(preload()), props);
  }
  // The router calls this when somebody is about to follow a link.
  Part.preload = () => preload().then(() => {});
  return Part;
}
