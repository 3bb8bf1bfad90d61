// Every page × {light, dark} × {1280, 375}, against a real server: no violation of WCAG 2.2 AA, nothing in the console, and
// nothing that makes the page wider than the window.
//
//   TSTR_UI=http://127.0.0.1:8000 TSTR_TOKEN_FILE=… npm run e2e
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ask, faults, launch, SKIP, settle, signedIn, UI } from "./browser.mjs";

const NS = process.env.TSTR_NAMESPACE ?? "default";
const LOOKS = [
  ["light", 1280],
  ["dark", 1280],
  ["light", 375],
  ["dark", 375],
];

let browser;
let addresses = [];

before(async () => {
  if (SKIP) return;
  browser = await launch();
  const { context, page } = await signedIn(browser);
  addresses = await everyPage(page);
  await context.close();
});
after(() => browser?.close());

/** The addresses of all pages and tabs, with what is there of tests, runs and runners. */
async function everyPage(page) {
  const of = async (path) => (await ask(page, `/namespaces/${NS}${path}`)).items[0];
  const finished = await of("/runs?state=finished&page_size=1");
  const reported = (await ask(page, `/namespaces/${NS}/runs?state=finished&page_size=200`)).items.find(
    (run) => run.cases,
  );
  const runner = await of("/runners?page_size=1");
  const testName = finished?.test_name ?? (await of("/tests?page_size=1"))?.name;
  const list = [
    "",
    "/tests",
    "/tests?q=no-such-test",
    "/runs",
    "/queue",
    "/runners",
    "/schedules",
    "/schedules?view=week",
  ];
  list.push("/admin", "/admin?tab=namespaces", "/admin?tab=system", "/compare");
  if (finished) {
    for (const tab of ["log", "cases", "data", "artifacts", "summary", "spec", "events"]) {
      list.push(`/runs/${(tab === "cases" && reported ? reported : finished).id}?tab=${tab}`);
    }
    list.push(`/compare?a=${finished.id}&b=${finished.id}`);
  }
  if (testName) {
    const tabs = ["overview", "runs", "cases", "failures", "analysis", "config", "schedule", "quarantine"];
    for (const tab of tabs) list.push(`/tests/${testName}?tab=${tab}`);
  }
  if (runner) list.push(`/runners/${runner.id}`);
  return list;
}

for (const [theme, width] of LOOKS) {
  test(`every page, ${theme}, ${width} px`, { skip: SKIP }, async (t) => {
    const { context, page, errors } = await signedIn(browser, {
      colorScheme: theme,
      viewport: { width, height: 800 },
    });
    for (const address of addresses) {
      await t.test(address || "/", async () => {
        errors.length = 0;
        await page.goto(`${UI}/ns/${NS}${address}`);
        await settle(page);
        assert.deepEqual([...(await faults(page)), ...errors], []);
      });
    }
    await context.close();
  });
}

test("signing in, with the failed try told", { skip: SKIP }, async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`${UI}/ns/${NS}/tests?state=broken`);
  await page.waitForURL("**/signin**");
  await page.waitForSelector("h1");
  assert.deepEqual(await faults(page), []);
  await page.getByLabel("Token").fill("wrong");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("alert").waitFor();
  assert.deepEqual(await faults(page), []);
  await context.close();
});
