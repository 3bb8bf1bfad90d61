// Every page × {light, dark} × {1280, 375}, against a real server: no violation of WCAG 2.2 AA, nothing in the console, no
// report of the policy, and nothing that makes the page wider than the window, down to 320 px. A page is loaded once and then
// seen in all looks: it has to follow when they change, too.
//
//   TSTR_READY=…/ready.json npm run e2e
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { faults, launch, listenedTo, settle, signedIn, tooWide } from "./browser.mjs";
import { apply, call, finished, NS, trigger, UI, until } from "./instance.mjs";

const LOOKS = [
  ["light", 1280],
  ["dark", 1280],
  ["dark", 375],
  ["light", 375],
  ["light", 320],
];
const RUNS = `/namespaces/${NS}/runs`;
const TEST = "everything";
const REPORT = new URL("../../tests/data/reports/playwright/report.xml", import.meta.url);

// Something for each part of a page: files, a report, numbers, texts, a summary, and lines of every look.
const SCRIPT = `
echo '::group::Set up'; echo 'the house is there'; echo '::endgroup::'
printf '\\033[1mbold\\033[0m \\033[31mred\\033[0m \\033[38;5;208mof 256\\033[0m \\033[48;2;0;90;60mtrue\\033[0m\\n'
echo '::warning::the hinges squeak'
echo 'to standard error' >&2
mkdir -p "$TSTR_ARTIFACTS/shots"
echo '<h1>The report</h1>' >"$TSTR_ARTIFACTS/report.html"
echo '{"rooms": [{"name": "kitchen", "lights": 3}]}' >"$TSTR_ARTIFACTS/rooms.json"
echo 'a picture' >"$TSTR_ARTIFACTS/shots/front-door.txt"
printf 'version=1.2.3\\nrequests=%s\\n' "\${REQUESTS:-15}" >>"$TSTR_OUTPUT"
echo 'requests,method=get,code=200 count=12i,seconds=0.25' >>"$TSTR_METRICS"
printf '## 12 of 12 passed\\n\\n| method | requests |\\n|---|---|\\n| GET | 15 |\\n' >>"$TSTR_SUMMARY"
[ -z "$BAD" ] || bad='<failure message="expected 40 degrees, got 12">at shower.js:12</failure>'
echo "<testsuite name='house'><testcase classname='door' name='opens' time='0.1'/><testcase classname='shower' name='is warm' time='0.4'>$bad</testcase></testsuite>" >"$TSTR_ARTIFACTS/junit.xml"
[ -z "$BAD" ] || { echo '::error::the shower is cold'; exit 3; }
`.replaceAll("mkdir", "busybox mkdir");

// What a page says when it shows what was made for it: an empty page has no faults either.
const SAYS = {
  "tab=log": "the shower is cold",
  "tab=cases": "is warm",
  "tab=data": "version",
  "tab=artifacts": "rooms.json",
  "tab=summary": "12 of 12 passed",
  "tab=spec": "container_image",
  "tab=events": "Leased",
  "tab=runs": "Fail",
  "tab=failures": "expected 40 degrees",
  "tab=metrics": "requests",
  "tab=config": "container_image",
  "tab=schedule": "04:00",
  "tab=quarantine": "the plumber comes on Friday",
  "view=week": "everything",
  "/queue": "Behind a gate",
};

const addresses = await everyPage();
let browser;
let page;
let errors;
before(async () => {
  browser = await launch();
  ({ page, errors } = await signedIn(browser));
});
after(() => browser?.close());

async function look(theme, width) {
  await page.emulateMedia({ colorScheme: theme });
  await page.setViewportSize({ width, height: 800 });
}

/** The words of a list in the code of the app, so that no tab is forgotten. */
function words(name) {
  const code = readFileSync(new URL("../src/app/searches.ts", import.meta.url), "utf8");
  const list = code.match(new RegExp(`const ${name} = \\[([^\\]]+)\\]`))?.[1];
  return [...list.matchAll(/"(\w+)"/g)].map((match) => match[1]);
}

/** Makes something to be seen on every page, and returns the addresses of all pages and tabs. */
async function everyPage() {
  await apply(NS, TEST, SCRIPT, { annotations: { owner: "team-house" }, cron_schedule: "0 4 * * *" });
  const passed = await trigger(NS, TEST);
  assert.equal((await finished(passed)).result, "pass");
  const failed = await trigger(NS, TEST, { env: { BAD: "1", REQUESTS: "40" } });
  assert.equal((await finished(failed)).result, "fail");
  // What is remembered of cases is there a moment after the end.
  const shower = await until("the case is remembered", 30_000, async () => {
    const { items } = await call("GET", `/namespaces/${NS}/tests/${TEST}/cases`);
    return items.find((each) => each.key.name === "is warm");
  });
  await call("PUT", `/namespaces/${NS}/tests/${TEST}/quarantine/${shower.case_id}`, {
    mode: "mute",
    owner: "team-house",
    reason: "the plumber comes on Friday",
    days: 7,
  });
  const report = readFileSync(REPORT, "utf8");
  await call("POST", `/namespaces/${NS}/tests/${TEST}/results?cell=browser%3Dchromium`, report);
  await call("PUT", `/namespaces/${NS}/views/failing`, {
    page: "tests",
    query: "state=failing",
    shared: true,
  });
  const matrix = await trigger(NS, "regions");
  const later = await trigger(NS, TEST, { not_before: new Date(Date.now() + 3_600_000).toISOString() });
  const broken = await trigger(NS, "broken");
  for (const run of [matrix, broken]) await finished(run);
  const cases = (await call("GET", `/runs/${failed}/cases`)).items;
  const runner = (await call("GET", `/namespaces/${NS}/runners`)).items[0];
  assert.ok(runner && cases.length > 0 && (await call("GET", `${RUNS}?state=queued`)).items.length > 0);
  return [
    "",
    "?range=30d",
    ...[
      "/tests",
      "/tests?q=no-such-test",
      "/tests/no-such-test",
      "/runs",
      "/runs?result=timed_out",
      "/queue",
    ],
    ...["/runners", `/runners/${runner.id}`, "/schedules", "/schedules?view=week", "/no-such-page"],
    ...["/admin", "/admin?tab=namespaces", "/admin?tab=system"],
    ...["/compare", `/compare?a=${passed}&b=${failed}`, `/compare?a=${matrix}&b=${failed}`],
    ...words("RUN_TABS").map((tab) => `/runs/${failed}?tab=${tab}`),
    `/runs/${failed}?tab=cases&case=${cases[0].case_id}`,
    ...["report.html", "rooms.json", "shots/front-door.txt"].map(
      (file) => `/runs/${failed}?tab=artifacts&file=${encodeURIComponent(file)}`,
    ),
    ...[passed, matrix, later, broken].map((run) => `/runs/${run}`),
    ...words("TEST_TABS").map((tab) => `/tests/${TEST}?tab=${tab}`),
    `/tests/${TEST}?tab=cases&case=${shower.case_id}`,
    ...["/tests/regions", "/tests/heartbeat"],
  ];
}

for (const address of addresses) {
  test(`${address || "/"} in every look`, async () => {
    errors.length = 0;
    await look("light", 1280);
    await page.goto(`${UI}/ns/${NS}${address}`);
    const found = [];
    for (const [theme, width] of LOOKS) {
      await look(theme, width);
      await settle(page);
      const isNarrow = width === 320;
      const wrong = isNarrow ? [await tooWide(page)].filter((px) => px > 0) : await faults(page);
      found.push(...wrong.map((each) => `${theme}, ${width}: ${each}`));
    }
    const [, words] = Object.entries(SAYS).find(([end]) => address.endsWith(end)) ?? [];
    const text = await page.locator("main").textContent();
    if (words && !text.includes(words)) found.push(`it does not say «${words}»`);
    for (const each of await page.getByRole("alert").all())
      found.push(`it fails: ${await each.textContent()}`);
    // What is looked for and is not there is answered with 404, and the browser writes that down.
    const isGone = address.includes("no-such-");
    const said = errors.filter((each) => !isGone || !/status of 404/.test(each));
    assert.deepEqual([...found, ...said], []);
  });
}

test("signing in, with the failed try told", async () => {
  const context = await browser.newContext();
  const { page } = await listenedTo(context);
  await page.goto(`${UI}/ns/${NS}/tests?state=broken`);
  await page.waitForURL("**/signin**");
  await page.waitForSelector("h1");
  assert.deepEqual(await faults(page), []);
  await page.getByLabel("Token").fill("wrong");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("alert").waitFor();
  assert.deepEqual(await faults(page), []);
  await page.setViewportSize({ width: 320, height: 640 });
  assert.equal(await tooWide(page), 0);
  await context.close();
});
