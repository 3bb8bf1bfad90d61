import { afterAll, afterEach, beforeAll, vi } from "vitest";
import { server } from "./render";

/** Puts in place what pages need and jsdom lacks, and the mocked server, for all tests of a file. */
export function inBrowser(): void {
  beforeAll(() => {
    vi.stubGlobal(
      "EventSource",
      class {
        static CLOSED = 2;
        readyState = 0;
        addEventListener() {}
        close() {}
      },
    );
    vi.stubGlobal(
      "ResizeObserver",
      class {
        constructor(private readonly told: () => void) {}
        // Told once, as a browser does: charts draw when they know how wide they are.
        observe() {
          this.told();
        }
        unobserve() {}
        disconnect() {}
      },
    );
    window.scrollTo = () => {};
    Element.prototype.scrollIntoView = () => {};
    HTMLDialogElement.prototype.showModal = function (this: HTMLDialogElement) {
      this.open = true;
    };
    HTMLDialogElement.prototype.close = function (this: HTMLDialogElement) {
      this.open = false;
    };
    // Only rows in sight are drawn, and in jsdom nothing has a size.
    Object.defineProperty(window, "innerHeight", { value: 800, configurable: true });
    server.listen({ onUnhandledRequest: "error" });
  });
  afterEach(() => server.resetHandlers());
  afterAll(() => server.close());
}
