import { type ComponentType, use } from "react";

/**
 * A page whose file is loaded when it is first shown. The router's own way reloads the whole document when that fails; with
 * the server away a person would lose what is on the screen. Here the error is shown in the place of the page, and asking
 * again loads again.
 */
export function lazyPage<T extends object, N extends keyof T>(load: () => Promise<T>, name: N) {
  let loading: Promise<ComponentType> | undefined;
  const preload = () => {
    loading ??= load().then(
      // The types of pages depend on those of routes, so asking for the type of a component would go round in a circle.
      (module) => module[name] as ComponentType,
      (thrown) => {
        loading = undefined;
        throw thrown;
      },
    );
    return loading;
  };
  // biome-ignore lint/correctness/noComponentHookFactories: called once for each route, when the module is loaded
  function Page() {
    const Loaded = use(preload());
    return <Loaded />;
  }
  // The router calls this when somebody is about to follow a link.
  Page.preload = () => preload().then(() => {});
  return Page;
}
