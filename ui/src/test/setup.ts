import { cleanup, configure } from "@testing-library/react";
import { afterEach } from "vitest";

afterEach(cleanup);

// A page is a file of its own, which is read and compiled when a test first shows it; on a busy machine that takes a while.
configure({ asyncUtilTimeout: 8_000 });

// jsdom brings an AbortSignal of its own, which the Request of Node refuses. No test here aborts, so it is left out.
const NodeRequest = globalThis.Request;
globalThis.Request = class extends NodeRequest {
  constructor(input: RequestInfo | URL, init?: RequestInit) {
    super(input, init && { ...init, signal: undefined });
  }
};

// jsdom has no widths of windows; every test sees a wide one.
window.matchMedia ??= (query: string) =>
  ({
    matches: true,
    media: query,
    addEventListener() {},
    removeEventListener() {},
  }) as unknown as MediaQueryList;

// jsdom knows the element of dialogs, and not how it opens.
HTMLDialogElement.prototype.showModal ??= function (this: HTMLDialogElement) {
  this.open = true;
};
HTMLDialogElement.prototype.close ??= function (this: HTMLDialogElement) {
  this.open = false;
};
Element.prototype.scrollIntoView ??= () => {};
