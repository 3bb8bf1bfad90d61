// What the tests here share: a browser that is signed in, and a look at a page that says what is wrong with it.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

/** Where `tstr ui` is, without a slash at its end; the tests are skipped without it. */
export const UI = process.env.TSTR_UI?.replace(/\/$/, "");
/** A token that may do everything. */
export const TOKEN = process.env.TSTR_TOKEN_FILE && readFileSync(process.env.TSTR_TOKEN_FILE, "utf8").trim();
/** Why the tests are skipped, or `false`. */
export const SKIP = !UI || !TOKEN ? "TSTR_UI and TSTR_TOKEN_FILE say where a UI is" : false;

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];

/** Starts the browser of the machine. */
export function launch() {
  const path = process.env.CHROMIUM ?? execFileSync("which", ["chromium"], { encoding: "utf8" }).trim();
  return chromium.launch({
    executablePath: path,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

/** Opens a page that is signed in, and keeps what its console says of errors. */
export async function signedIn(browser, options) {
  const context = await browser.newContext(options);
  const answer = await context.request.post(`${UI}/api/v1/session`, {
    data: { token: TOKEN },
    headers: { Origin: new URL(UI).origin },
  });
  if (!answer.ok())
    throw new Error(`signing in was answered with ${answer.status()}: ${await answer.text()}`);
  const page = await context.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error") errors.push(message.text());
  });
  return { context, page, errors };
}

/** Asks the API, as the session of a page. */
export async function ask(page, path) {
  const answer = await page.context().request.get(`${UI}/api/v1${path}`);
  return answer.json();
}

/** Waits until a page has what it asked for. A stream stays open, so «network idle» would never come. */
export async function settle(page) {
  await page.waitForSelector("h1");
  await page.waitForFunction(() => document.querySelector("main .skeleton") === null, null, {
    timeout: 15_000,
  });
  await page.waitForTimeout(250);
}

/** What is wrong with the page that is shown: violations of WCAG, and pixels by which it is too wide. */
export async function faults(page) {
  // Through the debugger: our own Content-Security-Policy refuses a script that is put into the page.
  const session = await page.context().newCDPSession(page);
  await session.send("Runtime.evaluate", { expression: axe });
  const found = await page.evaluate(async (tags) => {
    const { violations } = await globalThis.axe.run(document, { runOnly: tags });
    return violations.map(
      (each) => `${each.id}: ${each.nodes.map((node) => node.html.slice(0, 140)).join(" | ")}`,
    );
  }, TAGS);
  const over = await page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement;
    return scrollWidth - clientWidth;
  });
  return over > 0 ? [...found, `${over} px too wide`] : found;
}
