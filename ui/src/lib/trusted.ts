/** What the browser offers of Trusted Types; the DOM library of TypeScript has no types for it. */
interface TrustedTypes {
  createPolicy(
    name: string,
    rules: { createScriptURL: (url: string) => string },
  ): {
    createScriptURL: (url: string) => unknown;
  };
}

const admitted = new Set<string>();
let policy: ReturnType<TrustedTypes["createPolicy"]> | undefined;

/**
 * Lets an address of a worker through the Content-Security-Policy: `require-trusted-types-for 'script'` refuses a plain
 * string. The policy `tstr-worker` admits only addresses that were imported with `?worker&url`, which is to say files of
 * our own build.
 */
export function workerUrl(imported: string): string {
  admitted.add(imported);
  const types = (globalThis as { trustedTypes?: TrustedTypes }).trustedTypes;
  if (!types) return imported;
  policy ??= types.createPolicy("tstr-worker", {
    createScriptURL(url) {
      if (!admitted.has(url)) throw new TypeError("not a worker of this app");
      return url;
    },
  });
  return policy.createScriptURL(imported) as string;
}
