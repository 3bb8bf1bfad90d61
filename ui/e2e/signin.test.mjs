// A sign-in link asks before it signs in, against a real server.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { faults, launch } from "./browser.mjs";
import { TOKEN, UI } from "./instance.mjs";

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

async function post(path, token, body) {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const answer = await fetch(`${UI}/api/v1${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  assert.ok(answer.ok, `${path} was answered with ${answer.status}`);
  return answer.json();
}

/** Opens a sign-in link of a token. */
async function open(page, token) {
  const { code } = await post("/session/codes", token);
  // A page that is open already would only be told of another fragment.
  await page.goto("about:blank");
  await page.goto(`${UI}/signin#code=${code}`);
}

async function who(context) {
  const answer = await context.request.get(`${UI}/api/v1/identity`);
  return answer.ok() ? (await answer.json()).token.name : undefined;
}

test("a link signs nobody in until its reader says so", async () => {
  const other = await post("/tokens", TOKEN, { name: "another", scopes: ["data"], namespaces: ["default"] });
  for (const width of [1280, 375]) {
    const context = await browser.newContext({ viewport: { width, height: 800 } });
    const page = await context.newPage();
    await open(page, TOKEN);
    const go = page.getByRole("button", { name: /^Sign in as / });
    await go.waitFor();
    assert.equal(new URL(page.url()).hash, "", "the code is out of the address");
    assert.equal(await who(context), undefined);
    assert.deepEqual(await faults(page), []);
    await go.click();
    await page.waitForURL((url) => !url.pathname.endsWith("/signin"));
    const own = await who(context);
    assert.ok(own);

    await open(page, other.token);
    assert.match(await page.getByRole("alert").textContent(), new RegExp(own));
    assert.deepEqual(await faults(page), []);
    await page.getByRole("button", { name: "Stay as I am" }).click();
    await page.waitForURL((url) => !url.pathname.endsWith("/signin"));
    assert.equal(await who(context), own);

    await open(page, other.token);
    await page.getByRole("button", { name: "Sign in as another" }).click();
    await page.waitForURL((url) => !url.pathname.endsWith("/signin"));
    assert.equal(await who(context), "another");
    await context.close();
  }
});
