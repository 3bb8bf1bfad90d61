import { afterAll, afterEach, beforeAll } from "vitest";
import { server, stubBrowser } from "./render";

/** Puts in place what pages need and jsdom lacks, and the mocked server, for all tests of a file. */
export function inBrowser(): void {
  beforeAll(() => {
    stubBrowser();
    // Only rows in sight are drawn, and in jsdom nothing has a size.
    Object.defineProperty(window, "innerHeight", { value: 800, configurable: true });
    server.listen({ onUnhandledRequest: "error" });
  });
  afterEach(() => server.resetHandlers());
  afterAll(() => server.close());
}
