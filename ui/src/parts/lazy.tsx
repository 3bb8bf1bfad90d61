import { type ComponentType, type ReactNode, use } from "react";

/** For so long a failure is the answer: React draws again at once when one comes, and must not ask again by that. */
const FAILED_MS = 1_000;

/**
 * A part whose file is loaded when it is first shown. React's own `lazy` keeps a failure for ever; here somebody who tries
 * again asks for the file again.
 */
export function lazy<P extends object>(load: () => Promise<{ default: ComponentType<P> }>) {
  let loading: Promise<ComponentType<P>> | undefined;
  let loaded: ComponentType<P> | undefined;
  const preload = () => {
    loading ??= load().then(
      (module) => {
        loaded = module.default;
        return loaded;
      },
      (thrown) => {
        setTimeout(() => {
          loading = undefined;
        }, FAILED_MS);
        throw thrown;
      },
    );
    return loading;
  };
  // biome-ignore lint/correctness/noComponentHookFactories: called once for each part, when its module is loaded
  function Part(props: P): ReactNode {
    // What is there must not be waited for: React holds a page back for 300 ms after it has shown that it waits.
    const Loaded = loaded ?? use(preload());
    return <Loaded {...props} />;
  }
  // The router calls this when somebody is about to follow a link.
  Part.preload = () => preload().then(() => {});
  return Part;
}
