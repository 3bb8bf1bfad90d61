// Much of everything: ten thousand tests, and a log of a million lines that a container has printed.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { faults, launch, settle, signedIn } from "./browser.mjs";
import { apply, finished, namespace, psql, trigger, UI } from "./instance.mjs";

const NS = await namespace("large");
const TESTS = 10_000;
const BY_API = 60;
const LINES = 1_000_000;
const CLONE = `
  INSERT INTO test (id, ns_id, name, doc)
  SELECT gen_random_uuid(), t.ns_id, names.name, (t.doc::jsonb || jsonb_build_object('name', names.name))::json
  FROM generate_series(:there, :wanted - 1) n
  CROSS JOIN LATERAL (SELECT 'test-' || lpad(n::text, 5, '0') AS name) names
  JOIN test t ON t.name = 'test-' || lpad((n % :there)::text, 5, '0')
  JOIN namespace ns ON ns.id = t.ns_id AND ns.name = :'ns';
  ANALYZE test;
`;

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

const rows = (page) => page.locator("[role=row][aria-rowindex]:not([aria-rowindex='1'])");

test("ten thousand tests are searched, ordered and gone through like ten", async () => {
  // Some through the API; the others like them by SQL, since one request after another would take minutes.
  for (let n = 0; n < BY_API; n++) {
    await apply(NS, `test-${String(n).padStart(5, "0")}`, "exit 0", {
      labels: { region: ["nyc", "sfo", "lon"][n % 3] },
      annotations: { owner: `team-${n % 40}` },
    });
  }
  psql(CLONE, { ns: NS, there: BY_API, wanted: TESTS });

  const { context, page, errors } = await signedIn(browser);
  await page.goto(`${UI}/ns/${NS}/tests`);
  await page.getByText("10,000 tests").waitFor({ timeout: 60_000 });
  await settle(page);
  assert.ok((await rows(page).count()) < 60, "only rows in sight are in the page");
  assert.ok((await page.evaluate(() => document.querySelectorAll("*").length)) < 4000);
  assert.equal(await page.getByRole("table", { name: "Tests" }).getAttribute("aria-rowcount"), "10001");
  assert.deepEqual(await faults(page), []);

  await page.keyboard.press("End");
  await page.getByRole("link", { name: "test-09999" }).waitFor();
  await page.keyboard.press("Home");
  await page.getByRole("link", { name: "test-00000" }).waitFor();
  for (let step = 0; step < 40; step++) await page.keyboard.press("j");
  await page.getByRole("link", { name: "test-00039" }).waitFor();

  await page.getByLabel("Search tests by name").fill("0777");
  await page.waitForURL("**/tests?q=0777");
  await page.getByText("11 tests of 11").waitFor();
  await page.getByRole("link", { name: "test-07779" }).waitFor();
  await page.getByLabel("Search tests by name").fill("");
  await page.getByText("10,000 tests").waitFor();

  await page.keyboard.press("Control+k");
  await page.getByRole("combobox", { name: /Search/ }).fill("test-04321");
  await page.getByRole("option", { name: /test-04321/ }).waitFor();
  await page.keyboard.press("Enter");
  await page.waitForURL(`**/ns/${NS}/tests/test-04321**`);
  assert.deepEqual(errors, []);
  await context.close();
});

test("a million lines are read, searched, linked to and scrolled through", async () => {
  const script = `busybox awk 'BEGIN { for (i = 1; i <= ${LINES}; i++) printf "\\033[3%dmline %d\\033[0m of many\\n", i % 7 + 1, i }'`;
  await apply(NS, "long", script, { limits: { log: "128MiB" } });
  const run = await trigger(NS, "long");
  const { result, log } = await finished(run, 180_000);
  assert.deepEqual([result, log.status, log.dropped_bytes], ["pass", "complete", 0]);

  const { context, page, errors } = await signedIn(browser);
  const text = (number) => page.locator(".log-text", { hasText: new RegExp(`^line ${number} of many$`) });
  // A link into its midst shows these lines as soon as they are read.
  await page.goto(`${UI}/ns/${NS}/runs/${run}#L500000-L500002`);
  await text(500_001).waitFor({ timeout: 60_000 });
  await page.getByText("1,000,000 lines").waitFor({ timeout: 60_000 });
  assert.equal(await page.locator(".log-marked").count(), 3);

  const nodes = () => page.evaluate(() => document.querySelectorAll("*").length);
  const rowsThere = () => page.locator(".log-row").count();
  assert.ok((await nodes()) < 1500 && (await rowsThere()) < 120, "only lines in sight are in the page");

  const box = page.getByRole("log");
  await box.focus();
  await page.keyboard.press("End");
  await text(LINES).waitFor();
  await page.keyboard.press("Home");
  await text(1).waitFor();
  // By the scroll bar: every place shows its lines, and the last one is the last.
  for (const share of [0.25, 0.5, 0.75, 1]) {
    await box.evaluate((element, part) => {
      element.scrollTop = (element.scrollHeight - element.clientHeight) * part;
    }, share);
    await page.waitForFunction(
      (wanted) => {
        const shown = [...document.querySelectorAll(".log-row")].map((row) => Number(row.dataset.line));
        return shown.length > 10 && Math.abs(Math.max(...shown) - wanted) < 2_000;
      },
      Math.max(1, share * LINES),
      { timeout: 15_000 },
    );
  }
  await text(LINES).waitFor();

  const search = page.getByLabel("Search the log");
  await search.fill("line 777777 of");
  await page
    .getByRole("search")
    .getByText(/\b1 line$/)
    .waitFor({ timeout: 30_000 });
  await search.press("Enter");
  await text(777_777).waitFor();
  await search.fill("of many");
  await page
    .getByRole("search")
    .getByText(/1,000,000 lines$/)
    .waitFor({ timeout: 30_000 });

  await page.getByRole("button", { name: "# go to a line" }).click();
  await page.getByRole("dialog").getByLabel("Line").fill("123456");
  await page.keyboard.press("Enter");
  await text(123_456).waitFor();
  assert.match(page.url(), /#L123456$/);
  const [before, after] = [await nodes(), await rowsThere()];
  assert.ok(before < 1500 && after < 120, `${before} elements and ${after} rows`);
  await settle(page);
  assert.deepEqual([...(await faults(page)), ...errors], []);
  await context.close();
});
