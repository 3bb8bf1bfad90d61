import { Engine } from "./engine";
import type { Answer, Request } from "./protocol";

// Its scope is typed by hand: the library of worker types does not go together with that of pages.
declare const self: {
  onmessage: (event: MessageEvent<Request>) => void;
  postMessage: (answer: Answer, transfer: Transferable[]) => void;
};

const engine = new Engine((answer, transfer = []) => self.postMessage(answer, transfer));

self.onmessage = ({ data }) => engine.take(data);
