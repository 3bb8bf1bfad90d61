// A session that ends while somebody works: nothing of the namespace stays, and after the next sign-in they are where they were.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { faults, launch, listenedTo, settle, signedIn } from "./browser.mjs";
import { call, finished, NS, TOKEN, trigger, UI, until } from "./instance.mjs";

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

/** Issues a token that may run the tests of the namespace. */
async function token(name) {
  const { token: text, record } = await call("POST", "/tokens", {
    name,
    scopes: ["control"],
    namespaces: [NS],
    expires_in: "1h",
  });
  return { text, id: record.id };
}

/** Revokes a token, and waits until the session of a page is refused: within five seconds. */
async function revoke(id, context) {
  await call("DELETE", `/tokens/${id}`);
  await until("the session is refused", 10_000, async () => {
    return (await context.request.get(`${UI}/api/v1/identity`)).status() === 401;
  });
}

test("a token that is revoked ends the session, and the next one goes on at the same place", async () => {
  const { text, id } = await token("revoked");
  const { context, page } = await signedIn(browser, {}, { token: text });
  const address = `/ns/${NS}/runs?result=pass&test=heartbeat`;
  await page.goto(UI + address);
  await settle(page);
  await page.getByRole("link", { name: "heartbeat" }).first().waitFor();

  await revoke(id, context);
  // The open page finds out by itself as soon as it asks for something: here because a run ends.
  await finished(await trigger(NS, "heartbeat"));
  await page.waitForURL("**/signin**", { timeout: 60_000 });
  await page.getByLabel("Token").waitFor();
  assert.equal(await page.getByText("heartbeat").count(), 0, "nothing of the namespace is shown any more");
  await page.getByLabel("Token").fill(text);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("alert").waitFor();
  await page.getByLabel("Token").fill(TOKEN);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForURL((url) => url.pathname + url.search === address);
  await page.getByRole("link", { name: "heartbeat" }).first().waitFor();
  await page.getByRole("button", { name: /^Updates: Live/ }).waitFor();
  await context.close();
});

test("an action with a revoked token changes nothing, and asks who it is", async () => {
  const { text, id } = await token("revoked-too");
  const { context, page } = await signedIn(browser, {}, { token: text });
  await page.goto(`${UI}/ns/${NS}/tests/heartbeat`);
  await page.getByRole("button", { name: "Run now" }).waitFor();
  await settle(page);
  const made = async () =>
    (await call("GET", `/namespaces/${NS}/runs?test=heartbeat&page_size=200`)).items.filter(
      (run) => run.trigger === "manual",
    ).length;
  const before = await made();
  await revoke(id, context);
  if (!page.url().includes("/signin")) await page.getByRole("button", { name: "Run now" }).click();
  await page.waitForURL("**/signin**");
  assert.equal(await made(), before);
  await context.close();
});

test("a link that signs in works once, and what it holds does not stay in the address", async () => {
  const { code } = await call("POST", "/session/codes");
  const context = await browser.newContext();
  const { page } = await listenedTo(context);
  await page.goto(`${UI}/signin#code=${code}`);
  // Whoever follows a link that somebody else has sent sees first whose session it opens.
  await page.getByRole("button", { name: /^Sign in as / }).waitFor();
  assert.deepEqual(await faults(page), []);
  await page.getByRole("button", { name: /^Sign in as / }).click();
  await page.waitForURL(`**/ns/${NS}`);
  assert.ok(!page.url().includes(code));
  await context.clearCookies();
  await page.goto("about:blank");
  await page.goto(`${UI}/signin#code=${code}`);
  await page.getByRole("alert").waitFor();
  assert.ok(!page.url().includes(code));
  await context.close();
});

test("who may only read is told so, and cannot run", async () => {
  const { token: text } = await call("POST", "/tokens", {
    name: "reader",
    scopes: ["data"],
    namespaces: [NS],
    expires_in: "1h",
  });
  const { context, page } = await signedIn(browser, {}, { token: text });
  await page.goto(`${UI}/ns/${NS}/tests/heartbeat`);
  const run = page.getByRole("button", { name: /^Run now/ });
  await run.waitFor();
  await settle(page);
  assert.match(await run.textContent(), /This needs a token with the scope control/);
  await run.click({ force: true });
  assert.equal(new URL(page.url()).pathname, `/ns/${NS}/tests/heartbeat`);
  const pages = page.getByRole("navigation", { name: "Main" });
  await pages.getByRole("link", { name: "Runs" }).waitFor();
  assert.equal(await pages.getByRole("link", { name: "Admin" }).count(), 0);
  await page.goto(`${UI}/ns/no-such-namespace/tests`);
  await page.getByText("There is no namespace no-such-namespace").waitFor();
  await context.close();
});
