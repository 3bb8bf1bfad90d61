// The instance that the tests here look at: what it says of itself, its API with all rights, and how its parts are started
// one by one. Nothing is skipped: without an instance the tests fail.
//
//   TSTR_READY  the ready file of a `tstr up --demo`
//   TSTR_BIN    the program, for the tests that start parts of their own
//   TSTR_DIST   the files of the web UI, where the user that runs the parts can read them
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";

assert.ok(
  process.env.TSTR_READY,
  "TSTR_READY names the ready file of an instance (`./scripts/test ui` starts one)",
);
const ready = JSON.parse(readFileSync(process.env.TSTR_READY, "utf8"));

/** Where `tstr ui` is, without a slash at its end. */
export const UI = ready.ui.replace(/\/$/, "");
/** Where the JSON API is. */
export const API = ready.api;
/** A token that may do everything. */
export const TOKEN = readFileSync(ready.token_file, "utf8").trim();
/** The folder of the instance. */
export const DATA = ready.data_dir;
/** A namespace of the demo, in which there are runs. */
export const NS = ready.namespace;

/** The image that the demo has built: a busybox, so any script can be a test. */
export const IMAGE = "localhost/tstr-demo-heartbeat:1";

/** Asks the API, with all rights. An answer that is an error throws. */
export async function call(method, path, body, { server = API, headers = {} } = {}) {
  const isText = typeof body === "string";
  const answer = await fetch(`${server}/api/v1${path}`, {
    method,
    headers: {
      Authorization: `Bearer ${TOKEN}`,
      ...(method === "POST" ? { "Idempotency-Key": randomUUID() } : {}),
      ...(body === undefined ? {} : { "Content-Type": isText ? "application/xml" : "application/json" }),
      ...headers,
    },
    body: body === undefined || isText ? body : JSON.stringify(body),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path} was answered with ${answer.status}: ${text}`);
  return text ? JSON.parse(text) : undefined;
}

/** Makes a namespace for one file of tests, so that none sees what another, or an earlier try, has made. */
export async function namespace(hint) {
  const name = `${hint}-${Date.now().toString(36)}`;
  await call("POST", "/namespaces", { name });
  return name;
}

/** Makes, or changes, a test that runs a shell script. */
export function apply(ns, name, script, more = {}) {
  const { run_config = {}, ...rest } = more;
  return call("PUT", `/namespaces/${ns}/tests/${name}`, {
    name,
    run_config: {
      container_image: IMAGE,
      command: ["/bin/busybox", "sh", "-c"],
      args: [`trap 'exit 143' TERM\n${script}`],
      pull: "never",
      timeout: "5m",
      grace: "2s",
      ...run_config,
    },
    ...rest,
  });
}

/** Runs a test; returns the id of its first run. */
export async function trigger(ns, test, body = {}) {
  return (await call("POST", `/namespaces/${ns}/tests/${test}/runs`, body)).runs[0].id;
}

/** Waits until a run has finished; returns it. */
export async function finished(run, forMs = 120_000) {
  return until(`run ${run} has finished`, forMs, async () => {
    const now = await call("GET", `/runs/${run}`, undefined, { headers: { Prefer: "wait=20" } });
    return now.state === "finished" ? now : undefined;
  });
}

/** Waits for what is not undefined, false or null; an error counts as not yet. */
export async function until(what, forMs, look) {
  const end = Date.now() + forMs;
  let last;
  for (;;) {
    try {
      const found = await look();
      if (found) return found;
    } catch (thrown) {
      last = thrown;
    }
    if (Date.now() > end)
      throw new Error(`within ${forMs} ms it did not happen that ${what}`, { cause: last });
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

const LIB = fileURLToPath(new URL("../../scripts/lib.sh", import.meta.url));
const AS_RUN_USER = '. "$0"; exec_as_run_user "$@"';

/** Starts a part of tstr as the user of the tests; `serves` is what it writes when it does. */
export async function part(words, serves) {
  assert.ok(process.env.TSTR_BIN, "TSTR_BIN names the program");
  const { HOME, PATH, USER, XDG_RUNTIME_DIR } = process.env;
  const child = spawn("bash", ["-c", AS_RUN_USER, LIB, process.env.TSTR_BIN, ...words], {
    env: { HOME, PATH, USER, ...(XDG_RUNTIME_DIR ? { XDG_RUNTIME_DIR } : {}) },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text) => {
    log += text;
  });
  const ended = new Promise((resolve) => child.on("exit", resolve));
  // Sends a signal and waits for the end.
  const end = async (signal) => {
    child.kill(signal);
    await ended;
  };
  try {
    await until(`tstr ${words[0]} serves`, 60_000, () => child.exitCode !== null || log.includes(serves));
    assert.equal(child.exitCode, null, "it has ended");
  } catch (thrown) {
    if (child.exitCode === null) await end("SIGKILL");
    throw new Error(`tstr ${words[0]} did not start:\n${log}`, { cause: thrown });
  }
  return { end };
}

/** A port that is free now. */
export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** The socket of the Podman of the instance, in whose store the images are. */
export function podman() {
  const config = readFileSync(`${DATA}/podman/config/storage.conf`, "utf8");
  return config.match(/^runroot = "(.*)\/containers"$/m)[1].concat("/podman.sock");
}

const DB = fileURLToPath(new URL("../../scripts/db", import.meta.url));

/** Runs SQL on the private PostgreSQL of the instance; returns what it says. For what would take hours otherwise. */
export function psql(sql, variables = {}) {
  const words = Object.entries(variables).flatMap(([name, value]) => ["-v", `${name}=${value}`]);
  // Only `psql` reads variables from its input, and not from `-c`.
  return execFileSync(DB, [DATA, "-X", "-At", "-v", "ON_ERROR_STOP=1", ...words], {
    input: sql,
    encoding: "utf8",
  });
}

/** How the private PostgreSQL of the instance is reached. */
export function dsn() {
  let dir = `${DATA}/pg`;
  try {
    dir = readFileSync(`${DATA}/pg-socket-dir`, "utf8").trim();
  } catch {
    // The path of the folder is short enough for a socket.
  }
  return `postgres:///tstr?host=${encodeURIComponent(dir)}&port=5432&user=tstr`;
}
