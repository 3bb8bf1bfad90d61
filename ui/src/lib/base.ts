/**
 * The path that the app is served under, from `<base href>`: `""` at the root, `"/tools/tstr"` behind a path. The server
 * writes it into index.html, so nothing is built for one place.
 */
export function basePath(): string {
  return pathOf(document.baseURI);
}

/** The path part of an address, without a slash at its end. */
export function pathOf(address: string): string {
  return new URL(address).pathname.replace(/\/[^/]*$/, "").replace(/\/+$/, "");
}
