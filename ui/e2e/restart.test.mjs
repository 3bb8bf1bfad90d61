// The API is killed and started again under an open page: nothing is lost, nothing is doubled, and nobody reloads. All parts
// are processes of their own here, over the database of the instance; what the worker sends goes through the killed API, too.
import assert from "node:assert/strict";
import { dirname } from "node:path";
import { after, before, test } from "node:test";
import { launch, signedIn, wholeLog } from "./browser.mjs";
import { apply, call, DATA, dsn, freePort, namespace, part, podman, trigger, until } from "./instance.mjs";

const LINES = 400;
// Odd numbers to one stream, even ones to the other: each is sent on its own way.
const SCRIPT = `
i=0
while [ $i -lt ${LINES} ]; do
  i=$((i+1))
  if [ $((i % 2)) = 1 ]; then echo "number $i"; else echo "number $i" >&2; fi
  busybox sleep 0.05
done
`;

const NS = await namespace("restart");
let browser;
let api;
let startApi;
let ui;
const parts = [];
let runnersOfUp = [];

before(async () => {
  const [json, grpc, port] = [await freePort(), await freePort(), await freePort()];
  startApi = async () => {
    api = await part(
      [
        "api",
        ...[
          "--pg-dsn",
          dsn(),
          "--key-file",
          `${DATA}/token.key`,
          "--artifacts-url",
          `file://${DATA}/artifacts`,
        ],
        ...["--json-addr", `127.0.0.1:${json}`, "--grpc-addr", `127.0.0.1:${grpc}`],
      ],
      "the JSON API listens on",
    );
  };
  await startApi();
  ui = `http://127.0.0.1:${port}`;
  const files = process.env.TSTR_DIST ? ["--files", process.env.TSTR_DIST] : [];
  parts.push(
    await part(
      ["ui", "--addr", `127.0.0.1:${port}`, "--api-base-url", `http://127.0.0.1:${json}`, ...files],
      "listens on",
    ),
  );
  // Runs go to the worker behind that API.
  runnersOfUp = (await call("GET", `/namespaces/${NS}/runners`)).items;
  for (const { id } of runnersOfUp) await call("POST", `/runners/${id}/drain`);
  parts.push(
    await part(
      [
        "run",
        ...[
          "--grpc-addr",
          `127.0.0.1:${grpc}`,
          "--token-file",
          `${DATA}/runner.token`,
          "--name",
          "restarted",
        ],
        ...["--slots", "1", "--podman-socket", podman(), "--data-dir", `${dirname(DATA)}/restarted`],
      ],
      "is registered for namespaces",
    ),
  );
  browser = await launch();
});
after(async () => {
  for (const { id } of runnersOfUp) await call("POST", `/runners/${id}/resume`);
  await browser?.close();
  for (const each of parts.reverse()) await each.end("SIGTERM");
  await api?.end("SIGTERM");
});

test("a killed API comes back under an open page, and every line is there once", async () => {
  await apply(NS, "counting", SCRIPT);
  const run = await trigger(NS, "counting");
  const { context, page } = await signedIn(browser, {}, { ui });
  await page.goto(`${ui}/ns/${NS}/runs/${run}`);
  await page.evaluate(() => {
    globalThis.isStillThis = true;
  });
  const line = (number) => page.locator(".log-text", { hasText: new RegExp(`^number ${number}$`) });
  await line(40).waitFor({ timeout: 60_000 });

  await api.end("SIGKILL");
  await page.getByText(/What is here stays; this page goes on from it/).waitFor({ timeout: 20_000 });
  await page
    .getByRole("button", { name: /^Updates: (Reconnecting|Every 15 s)/ })
    .waitFor({ timeout: 20_000 });
  const before = await page.locator(".log-row").last().getAttribute("data-line");
  assert.ok(Number(before) < LINES, `it was killed in the midst of the log, not after ${before} lines`);
  await startApi();

  await page.getByText(/What is here stays/).waitFor({ state: "detached", timeout: 60_000 });
  await page.getByRole("button", { name: /^Updates: Live/ }).waitFor({ timeout: 90_000 });
  await page.locator("h1").getByText("Pass", { exact: true }).waitFor({ timeout: 120_000 });
  await line(LINES)
    .or(line(LINES - 1))
    .first()
    .waitFor({ timeout: 30_000 });
  assert.equal(await page.evaluate(() => globalThis.isStillThis), true, "nobody has loaded the page again");

  await until("all lines are there", 20_000, async () =>
    (await page.locator("main").textContent()).includes(`${LINES} lines`),
  );
  const lines = await wholeLog(page);
  const of = (stream) => lines.filter((each) => each.stream === stream).map(({ text }) => text);
  const numbers = (from) => Array.from({ length: LINES / 2 }, (_, index) => `number ${from + 2 * index}`);
  assert.deepEqual([of(0), of(1)], [numbers(1), numbers(2)]);
  assert.equal((await call("GET", `/runs/${run}`)).attempts.length, 1, "the container ran once");
  await context.close();
});

test("what a stopped API keeps a page from is said, and ends by itself", async () => {
  const { context, page } = await signedIn(browser, {}, { ui });
  await page.goto(`${ui}/ns/${NS}/tests/counting`);
  await page.getByRole("button", { name: /^Updates: Live/ }).waitFor({ timeout: 90_000 });
  await api.end("SIGKILL");
  await page.getByRole("link", { name: "Configuration" }).click();
  // Running it fails and says so, or is off and says why; in no case does anything happen.
  await page.getByRole("button", { name: /^Run now/ }).click({ force: true });
  const told = page.getByRole("status").getByText("Not run");
  await told.or(page.getByText("The server cannot be reached")).first().waitFor({ timeout: 20_000 });
  await startApi();
  await page.getByRole("button", { name: /^Updates: Live/ }).waitFor({ timeout: 90_000 });
  await page.getByText("container_image").first().waitFor({ timeout: 30_000 });
  assert.equal(
    (await call("GET", `/namespaces/${NS}/runs`)).items.length,
    1,
    "nothing was made behind its back",
  );
  await context.close();
});
