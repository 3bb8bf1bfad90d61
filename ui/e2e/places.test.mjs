// Where people find the UI: below a path, and at a plain http host, where browsers give a page fewer means.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { faults, launch, listenedTo, settle, signedIn } from "./browser.mjs";
import { API, finished, freePort, NS, part, TOKEN, trigger, UI } from "./instance.mjs";

const HOST = "tstr.test";
const BASE = "/tools/tstr";

let browser;
let run;
before(async () => {
  browser = await launch([`--host-resolver-rules=MAP ${HOST} 127.0.0.1`]);
  run = await trigger(NS, "broken");
  await finished(run);
});
after(() => browser?.close());

test("everything is found below a path", async () => {
  const port = await freePort();
  const files = process.env.TSTR_DIST ? ["--files", process.env.TSTR_DIST] : [];
  const words = ["ui", "--addr", `127.0.0.1:${port}`, "--base-path", BASE, "--api-base-url", API, ...files];
  const ui = await part(words, "the UI listens on");
  try {
    const origin = `http://127.0.0.1:${port}`;
    const { context, page, errors } = await signedIn(browser, {}, { ui: origin + BASE });
    const cookies = await context.cookies();
    assert.deepEqual(
      cookies.map(({ path, httpOnly, sameSite }) => ({ path, httpOnly, sameSite })),
      [{ path: BASE, httpOnly: true, sameSite: "Lax" }],
    );
    const outside = [];
    context.on("request", (request) => {
      const url = new URL(request.url());
      if (url.protocol.startsWith("http") && !url.pathname.startsWith(`${BASE}/`))
        outside.push(request.url());
    });
    await page.goto(`${origin}${BASE}/`);
    await page.waitForURL(`**${BASE}/ns/${NS}`);
    await page.getByRole("button", { name: /^Updates: Live/ }).waitFor();
    for (const name of ["Tests", "Runs", "Queue", "Runners", "Schedules", "Admin"]) {
      await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name }).click();
      await page.waitForURL(`**${BASE}/ns/${NS}/${name.toLowerCase()}`);
      await settle(page);
    }
    // An address that was sent to somebody, with lines of a log: read by a worker, whose file lies below the path, too.
    await page.goto(`${origin}${BASE}/ns/${NS}/runs/${run}?attempt=1#L2-L3`);
    await page.locator(".log-marked").nth(1).waitFor();
    const raw = await page.getByRole("link", { name: "Raw" }).getAttribute("href");
    const answer = await context.request.get(new URL(raw, page.url()).href);
    assert.ok(raw.startsWith(`${BASE}/api/v1/`) && answer.ok());
    await page.getByRole("button", { name: "Skip to the content" }).press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.id), "main");
    assert.deepEqual([outside, errors], [[], []]);
    await page.context().clearCookies();
    await page.goto(`${origin}${BASE}/ns/${NS}/tests?state=failing`);
    await page.waitForURL(`**${BASE}/signin**`);
    await page.getByLabel("Token").fill(TOKEN);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.waitForURL(`**${BASE}/ns/${NS}/tests?state=failing`);
    await context.close();
  } finally {
    await ui.end("SIGTERM");
  }
});

test("a host that speaks plain http lacks nothing, and is warned of", async () => {
  const ui = `http://${HOST}:${new URL(UI).port}`;
  const context = await browser.newContext();
  const { page, errors } = await listenedTo(context);
  await page.goto(`${ui}/ns/${NS}/tests/broken`);
  await page.getByText("This page came over plain http").waitFor();
  assert.deepEqual(await faults(page), []);
  await page.getByLabel("Token").fill(TOKEN);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForURL(`**/ns/${NS}/tests/broken`);
  assert.equal(await page.evaluate(() => globalThis.isSecureContext), false);
  await page.getByRole("button", { name: /^Updates: Live/ }).waitFor();
  errors.length = 0;

  // Without the clipboard of secure pages: what was copied can be pasted.
  await page.getByRole("button", { name: "Copy the command that runs it" }).click();
  await page.getByRole("status").getByText("Copied").waitFor();
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Tests" }).click();
  await page.waitForURL(`**/ns/${NS}/tests`);
  const field = page.getByLabel("Search tests by name");
  await field.focus();
  await page.keyboard.press("Control+V");
  assert.equal(await field.inputValue(), `tstr ctl test run broken --namespace ${NS}`);

  // Without `crypto.randomUUID`: a run is made all the same.
  await page.goto(`${ui}/ns/${NS}/tests/broken`);
  await page.getByRole("button", { name: "Run now" }).click();
  await page.waitForURL("**/runs/*");
  await page.locator("h1").getByText("Fail", { exact: true }).waitFor({ timeout: 60_000 });
  await page.getByRole("log").getByText("not ok 3 - the shower is warm").waitFor();
  // Browsers write down that a header of a page is of no use over plain http.
  const said = errors.filter(
    (each) => !each.startsWith("The Cross-Origin-Opener-Policy header has been ignored"),
  );
  assert.deepEqual(said, []);
  await context.close();
});
