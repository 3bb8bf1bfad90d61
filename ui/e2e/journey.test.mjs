// What a person does with a test, from its making to its cancelled run: real API, real database, real containers.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { faults, launch, listenedTo, settle, wholeLog } from "./browser.mjs";
import { apply, finished, namespace, TOKEN, UI, until } from "./instance.mjs";

const NS = await namespace("journey");
// It writes for as long as it is told, on both streams, and fails when it is told to.
const SCRIPT = `
i=0
while [ $i -lt "\${STEPS:-80}" ]; do
  i=$((i+1)); echo "step $i"; busybox sleep 0.05
done
if [ -n "$FAIL" ]; then
  echo "::error::the shower is cold"
  echo "expected hot water, got none" >&2
  exit 3
fi
echo "the shower is warm"
`;

let browser;
let page;
let errors;
before(async () => {
  browser = await launch();
  ({ page, errors } = await listenedTo(await browser.newContext()));
});
after(() => browser?.close());

const heading = () => page.locator("h1");
const log = () => page.getByRole("log");
const line = (text) => log().locator(".log-text", { hasText: text }).first();
/** The number of the last line that is in sight. */
const lastLine = async () => Number(await log().locator(".log-row").last().getAttribute("data-line"));

/** Follows the log of the run that is shown: its end is in sight, and there is more of it as time goes on. */
async function follow() {
  await line(/^step \d+$/).waitFor({ timeout: 60_000 });
  await page.getByRole("button", { name: "Following", pressed: true }).waitFor();
  const before = await lastLine();
  await until("the log goes on by itself", 30_000, async () => (await lastLine()) > before + 5);
  const word = await heading().textContent();
  assert.match(word, /Running/, "it is followed while it runs, and not read at its end");
}

/** Opens «Run with…», gives variables, and runs. */
async function runWith(env) {
  await page.goto(`${UI}/ns/${NS}/tests/house`);
  await page.getByRole("button", { name: "Run with…" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Environment").fill(env);
  await dialog.getByRole("button", { name: "Run", exact: true }).click();
  await page.waitForURL("**/runs/*");
}

const runId = () => new URL(page.url()).pathname.split("/").at(-1);
let passed;
let failed;

test("somebody signs in, and comes to where they wanted to go", async () => {
  await page.goto(`${UI}/ns/${NS}/tests`);
  await page.waitForURL("**/signin**");
  await page.getByLabel("Token").fill(TOKEN);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForURL(`**/ns/${NS}/tests`);
  await page.getByText("There are no tests in this namespace").waitFor();
  await page.getByRole("button", { name: /^Updates: Live/ }).waitFor();
  // That nobody was signed in was answered with 401, which the browser writes down.
  errors.splice(0, errors.length, ...errors.filter((each) => !/status of 401/.test(each)));
});

test("a test that was registered can be run, and its log is followed until it passes", async () => {
  await apply(NS, "house", SCRIPT, { labels: { type: "e2e" }, annotations: { owner: "team-house" } });
  await page.reload();
  await page.getByRole("link", { name: "house", exact: true }).click();
  await page.getByRole("button", { name: "Run now" }).click();
  await page.waitForURL("**/runs/*");
  passed = runId();
  await follow();
  await heading().getByText("Pass", { exact: true }).waitFor({ timeout: 60_000 });
  await line("the shower is warm").waitFor();
  assert.equal((await finished(passed)).result, "pass");
  await settle(page);
  assert.deepEqual([...(await faults(page)), ...errors], []);
});

test("a run fails under the eyes of who follows it, and says why", async () => {
  await runWith("FAIL=1");
  failed = runId();
  await follow();
  await heading().getByText("Fail", { exact: true }).waitFor({ timeout: 60_000 });
  await page
    .getByText(/exit code 3/)
    .first()
    .waitFor();
  await line("the shower is cold").waitFor();
  await line("expected hot water, got none").waitFor();
  await settle(page);
  const lines = await wholeLog(page);
  const steps = lines.map(({ text }) => text).filter((text) => text.startsWith("step "));
  assert.deepEqual(
    steps,
    Array.from({ length: 80 }, (_, index) => `step ${index + 1}`),
  );
  assert.deepEqual(
    lines.filter(({ stream }) => stream === 1).map(({ text }) => text),
    ["expected hot water, got none"],
  );
  assert.deepEqual([...(await faults(page)), ...errors], []);
});

test("one click compares it with the last pass", async () => {
  await page.getByRole("button", { name: "Compare with last pass" }).click();
  await page.waitForURL("**/compare**");
  await settle(page);
  const { searchParams } = new URL(page.url());
  assert.deepEqual([searchParams.get("a"), searchParams.get("b")], [passed, failed]);
  await page.getByRole("row", { name: /FAIL.*environment/s }).waitFor();
  await page.getByText("the shower is cold").first().waitFor();
  await page.getByText("the shower is warm").first().waitFor();
  assert.deepEqual([...(await faults(page)), ...errors], []);
  await page.goBack();
  await page.waitForURL(`**/runs/${failed}`);
});

test("it is retried as it was, and fails again", async () => {
  await page.getByRole("button", { name: "Retry", exact: true }).click();
  await page.waitForURL((url) => url.pathname.includes("/runs/") && !url.pathname.endsWith(failed));
  const retried = runId();
  await follow();
  await heading().getByText("Fail", { exact: true }).waitFor({ timeout: 60_000 });
  const run = await finished(retried);
  assert.deepEqual([run.result, run.trigger, run.exit_code], ["fail", "retry", 3]);
  // The list of tests shows the three ends.
  await page.getByRole("link", { name: "Tests", exact: true }).first().click();
  await page.getByRole("slider").first().waitFor();
  await page.getByText("33 %").first().waitFor();
});

test("a run is cancelled while it runs", async () => {
  await runWith("STEPS=4000");
  const run = runId();
  await follow();
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  await heading()
    .getByText(/^(Cancelling|Cancelled)$/)
    .waitFor();
  await heading().getByText("Cancelled", { exact: true }).waitFor({ timeout: 60_000 });
  assert.equal((await finished(run)).result, "cancelled");
  await page.getByRole("button", { name: "Retry", exact: true }).waitFor();
  await settle(page);
  const lines = (await wholeLog(page)).filter(({ text }) => text.startsWith("step "));
  assert.ok(lines.length < 4000, "it ended before its time");
  assert.deepEqual(
    lines.map(({ text }) => text),
    lines.map((_, index) => `step ${index + 1}`),
  );
  assert.deepEqual([...(await faults(page)), ...errors], []);
});
