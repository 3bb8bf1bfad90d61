import { afterEach, expect, test, vi } from "vitest";
import { Engine } from "./engine";
import type { Answer, LogState } from "./protocol";
import { follow } from "./tail";

/** A server of one log, which can break off its answers, start anew, and answer more than it was asked for. */
class Server {
  entries: {
    seq: number;
    time: string;
    stream: string;
    data?: string;
    data_base64?: string;
    cut_bytes?: number;
  }[] = [];
  asked: (number | undefined)[] = [];
  open = 0;
  most = 0;
  next: ("ok" | "broken" | "down" | "double" | number)[] = [];

  write(data: string, stream = "stdout") {
    this.entries.push({ seq: this.entries.length + 1, time: "2026-01-01T00:00:00Z", stream, data });
  }

  fetch = async (url: string | URL): Promise<Response> => {
    const after = new URL(url).searchParams.get("after");
    this.asked.push(after === null ? undefined : Number(after));
    this.open += 1;
    this.most = Math.max(this.most, this.open);
    await new Promise((go) => setTimeout(go, 1));
    this.open -= 1;
    const how = this.next.shift() ?? "ok";
    if (how === "down") throw new TypeError("failed to fetch");
    if (typeof how === "number") return new Response("{}", { status: how });
    const rest = this.entries.filter((each) => how === "double" || each.seq > Number(after ?? 0));
    const bytes = new TextEncoder().encode(rest.map((each) => `${JSON.stringify(each)}\n`).join(""));
    const cut = how === "broken" ? Math.floor(bytes.length * 0.6) : bytes.length;
    return new Response(
      new ReadableStream({
        start(to) {
          // In pieces of a few bytes, so that characters and lines are cut.
          const piece = Math.max(7, cut >> 12);
          for (let at = 0; at < cut; at += piece) to.enqueue(bytes.subarray(at, Math.min(cut, at + piece)));
          if (how === "broken") to.error(new TypeError("network error"));
          else to.close();
        },
      }),
    );
  };
}

function open(server: Server, isLive: boolean) {
  vi.stubGlobal("fetch", server.fetch);
  const states: LogState[] = [];
  const answers: Answer[] = [];
  const engine = new Engine((answer) => {
    answers.push(answer);
    if (answer.kind === "state") states.push(answer.state);
  });
  engine.take({ kind: "open", url: "http://tstr.test/api/v1/runs/r/logs?attempt=1", isLive });
  const lines = () => {
    engine.take({ kind: "rows", id: 1, from: 0, to: 1_000 });
    const last = answers.at(-1);
    return last?.kind === "rows"
      ? last.rows.map((row) => row.pieces.map((piece) => piece.text).join(""))
      : [];
  };
  const until = (phase: LogState["phase"]) =>
    vi.waitFor(() => expect(states.at(-1)?.phase).toBe(phase), 5_000);
  return { engine, states, answers, lines, until };
}

afterEach(() => vi.unstubAllGlobals());

test("no line is lost or doubled when answers break off, the server starts anew or answers too much", async () => {
  const server = new Server();
  const wanted: string[] = [];
  const write = (n: number) => {
    wanted.push(`grüße ${n}`);
    server.write(`grüße ${n}`.slice(0, 4));
    server.write(`${`grüße ${n}`.slice(4)}\n`);
  };
  for (let n = 0; n < 20; n++) write(n);
  server.next = ["broken", "down", "double", "ok", 503, "double", "broken", "ok"];
  const { engine, lines, until } = open(server, true);
  await vi.waitFor(() => expect(lines()).toEqual(wanted), 5_000);
  for (let n = 20; n < 30; n++) write(n);
  await vi.waitFor(() => expect(lines()).toEqual(wanted), 10_000);
  engine.take({ kind: "live", isLive: false });
  await until("done");
  expect(lines()).toEqual(wanted);
  // One request at a time, whatever happens.
  expect(server.most).toBe(1);
  engine.close();
}, 20_000);

test("a log that is written to is asked for again in less than half a second, whether something came or not", async () => {
  const rests: number[] = [];
  const answers = [true, false, false, true, true, false];
  const stop = new AbortController();
  let under = 0;
  await follow(
    {
      more: async () => {
        under += 1;
        await Promise.resolve();
        under -= 1;
        return answers.shift() ?? false;
      },
      isLive: () => true,
      sleep: async (ms) => {
        // It rests only when nothing is asked for.
        expect(under).toBe(0);
        rests.push(ms);
        if (answers.length === 0) stop.abort();
      },
      whileHeld: async () => {},
      tell: () => {},
    },
    stop.signal,
  );
  expect(rests).toHaveLength(6);
  for (const ms of rests) {
    expect(ms).toBeGreaterThan(0);
    expect(ms).toBeLessThan(500);
  }
});

test("what is written comes with the request that is under way, or with the next", async () => {
  const server = new Server();
  const { engine, lines, until } = open(server, true);
  await until("following");
  const asked = server.asked.length;
  server.write("one\ntwo\n");
  await vi.waitFor(() => expect(lines()).toEqual(["one", "two"]), { timeout: 5_000, interval: 5 });
  expect(server.asked.length - asked).toBeLessThanOrEqual(2);
  engine.close();
});

test("errors whose lines were let go are not led to", async () => {
  const server = new Server();
  server.write("::error::early\n");
  for (let n = 0; n < 400; n++) server.write(`${"x".repeat(999)}\n`.repeat(10));
  server.write("::error::late\n");
  vi.stubGlobal("fetch", server.fetch);
  const answers: Answer[] = [];
  const engine = new Engine((answer) => answers.push(answer), { bytes: 1 << 20, lines: 2_000_000 });
  const state = () => answers.findLast((each) => each.kind === "state")?.state;
  engine.take({ kind: "open", url: "http://tstr.test/api/v1/runs/r/logs?attempt=1", isLive: false });
  await vi.waitFor(() => expect(state()?.phase).toBe("done"), 10_000);
  expect(state()?.first).toBeGreaterThan(0);
  expect([state()?.totals.error, state()?.firstError]).toEqual([2, 4_001]);
  // Behind the last error comes the first again: the first that is still there.
  engine.take({ kind: "locate", id: 7, line: 4_001, what: "error" });
  expect(answers.at(-1)).toMatchObject({ kind: "located", id: 7, line: 4_001 });
  engine.close();
}, 20_000);

test("a log that has ended is asked for once more, and then no more", async () => {
  const server = new Server();
  server.write("one\ntwo");
  const { engine, lines, until } = open(server, false);
  await until("done");
  expect([lines(), server.asked]).toEqual([
    ["one", "two"],
    [undefined, 1],
  ]);
  engine.close();
});

test("a log that is gone says so and is not asked for again; one that cannot be reached is", async () => {
  const gone = new Server();
  gone.next = [410];
  const first = open(gone, true);
  await first.until("failed");
  expect([first.states.at(-1)?.error?.status, gone.asked.length]).toEqual([410, 1]);
  first.engine.take({ kind: "retry" });
  await first.until("following");
  first.engine.close();
});

test("while updates are held back nothing is asked", async () => {
  const server = new Server();
  const { engine, until } = open(server, true);
  await until("following");
  engine.take({ kind: "hold", isHeld: true });
  await new Promise((go) => setTimeout(go, 400));
  const before = server.asked.length;
  await new Promise((go) => setTimeout(go, 800));
  expect(server.asked.length).toBe(before);
  server.write("later\n");
  engine.take({ kind: "hold", isHeld: false });
  await vi.waitFor(() => expect(server.asked.length).toBeGreaterThan(before));
  engine.close();
});

test("bytes that are no text, and a cut, are told where they are", async () => {
  const server = new Server();
  server.write("a\nhal");
  server.entries.push({
    seq: 2,
    time: "2026-01-01T00:00:00Z",
    stream: "stdout",
    cut_bytes: 2_048,
    data_base64: btoa("\u00ff\n"),
  });
  const { engine, lines, until } = open(server, false);
  await until("done");
  expect(lines()).toEqual([
    "a",
    "hal",
    "2.0 KiB of stdout are missing here: the log passed its limit",
    "\ufffd",
  ]);
  engine.close();
});

test("a search tells what it finds, also in what comes later", async () => {
  const server = new Server();
  server.write("one\ntwo\none\n");
  const { engine, answers, until } = open(server, true);
  await until("following");
  const found = () =>
    answers.flatMap((each) => (each.kind === "found" && each.id === 5 ? [...each.lines] : []));
  engine.take({ kind: "find", id: 5, query: { text: "ONE", isRegex: false, isCaseSensitive: false } });
  await vi.waitFor(() => expect(found()).toEqual([0, 2]));
  server.write("again one\n");
  await vi.waitFor(() => expect(found()).toEqual([0, 2, 3]), 2_000);
  engine.take({ kind: "find", id: 6, query: { text: "(", isRegex: true, isCaseSensitive: true } });
  await vi.waitFor(() => expect(answers.at(-1)).toMatchObject({ kind: "found", id: 6, isDone: true }));
  engine.close();
});
