// What a person does by keys alone, against a real server.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { faults, launch, settle, signedIn } from "./browser.mjs";
import { NS, UI } from "./instance.mjs";

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

test("pages, search, help, palette and pausing work by keys", async () => {
  const { context, page, errors } = await signedIn(browser);
  await page.goto(`${UI}/ns/${NS}`);
  await settle(page);

  await page.keyboard.press("g");
  await page.keyboard.press("t");
  await page.waitForURL("**/tests");
  await settle(page);

  await page.keyboard.press("/");
  await page.keyboard.type("e");
  await page.waitForURL("**/tests?q=e");

  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press("?");
  await page.getByRole("dialog").waitFor();
  assert.deepEqual(await faults(page), []);
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });

  await page.keyboard.press("Control+k");
  await page.getByRole("combobox", { name: /Search/ }).waitFor();
  await page.keyboard.type("Go to Queue");
  assert.deepEqual(await faults(page), []);
  await page.keyboard.press("Enter");
  await page.waitForURL("**/queue");

  const badge = page.getByRole("button", { name: /^Updates:/ });
  await page.keyboard.press("r");
  assert.match(await badge.getAttribute("aria-label"), /Paused/);
  await page.keyboard.press("r");
  assert.doesNotMatch(await badge.getAttribute("aria-label"), /Paused/);
  assert.deepEqual(errors, []);
  await context.close();
});

test("nine tabs share one stream, so the ninth is as quick as the first", async () => {
  const { context, page } = await signedIn(browser);
  await page.goto(`${UI}/ns/${NS}/queue`);
  for (let tab = 0; tab < 7; tab++) await (await context.newPage()).goto(`${UI}/ns/${NS}/queue`);
  const ninth = await context.newPage();
  await ninth.goto(`${UI}/ns/${NS}/runners`);
  await ninth.getByRole("button", { name: /^Updates: Live/ }).waitFor({ timeout: 5_000 });
  await context.close();
});
