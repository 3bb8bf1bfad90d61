import { openStream, type StreamMessage, type StreamStatus } from "./stream";

// One stream for all tabs of a browser: HTTP/1.1 gives a browser six connections to a server, and six open streams would
// hold up every further request.
// Its scope is typed by hand: the library of worker types does not go together with that of pages.
declare const self: { onconnect: (event: MessageEvent) => void };

interface Shared {
  ports: Set<MessagePort>;
  status: StreamStatus;
  close: () => void;
}
const streams = new Map<string, Shared>();

function join(url: string, port: MessagePort) {
  let shared = streams.get(url);
  if (!shared) {
    const made: Shared = { ports: new Set(), status: "connecting", close: () => {} };
    streams.set(url, made);
    made.close = openStream(url, (message) => {
      if (message.kind === "status") made.status = message.status;
      for (const each of made.ports) each.postMessage(message);
    });
    shared = made;
  }
  shared.ports.add(port);
  port.postMessage({ kind: "status", status: shared.status } satisfies StreamMessage);
}

function leave(url: string, port: MessagePort) {
  const shared = streams.get(url);
  if (!shared?.ports.delete(port) || shared.ports.size > 0) return;
  shared.close();
  streams.delete(url);
}

self.onconnect = (event) => {
  const port = event.ports[0];
  if (!port) return;
  port.onmessage = ({ data }: MessageEvent<{ join?: string; leave?: string }>) => {
    if (data.join) join(data.join, port);
    if (data.leave) leave(data.leave, port);
  };
};
