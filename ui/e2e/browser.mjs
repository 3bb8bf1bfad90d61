// What the tests here share: a browser, pages that are signed in and listened to, and a look at a page that says what is
// wrong with it.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";
import { TOKEN, UI } from "./instance.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];

/** Starts the browser of the machine. */
export function launch(more = []) {
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
      ...more,
    ],
  });
}

/** Opens a page and listens to it: errors of scripts and of the console, reports of the policy, and dialogs of a script. */
export async function listenedTo(context) {
  const page = await context.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error") errors.push(message.text());
  });
  page.on("dialog", (dialog) => {
    errors.push(`a script opened a dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  // The console tells of what is refused, too; but not of what is only reported.
  await page.exposeFunction("tellReport", (text) => errors.push(text));
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => {
      globalThis.tellReport(
        `the policy refuses ${event.effectiveDirective} ${event.blockedURI} ${event.sample}`,
      );
    });
  });
  // What the page waits for of the API; the stream of events never ends, and the file of a shared worker has no end either.
  const open = new Set();
  page.on("request", (request) => {
    if (/\/api\/v1\/(?!events)/.test(request.url())) open.add(request);
  });
  for (const end of ["requestfinished", "requestfailed"]) page.on(end, (request) => open.delete(request));
  waiting.set(page, open);
  return { page, errors };
}
const waiting = new WeakMap();

/** Opens a page that is signed in. */
export async function signedIn(browser, options, { ui = UI, token = TOKEN } = {}) {
  const context = await browser.newContext(options);
  const answer = await context.request.post(`${ui}/api/v1/session`, {
    data: { token },
    headers: { Origin: new URL(ui).origin },
  });
  if (!answer.ok())
    throw new Error(`signing in was answered with ${answer.status()}: ${await answer.text()}`);
  return { context, ...(await listenedTo(context)) };
}

/** Waits until a page has what it asked for, and has drawn it. */
export async function settle(page) {
  const end = Date.now() + 30_000;
  await page.waitForSelector("h1", { timeout: 30_000 });
  for (;;) {
    await page.waitForFunction(() => document.querySelector("main .skeleton") === null, null, {
      timeout: 30_000,
    });
    await page.evaluate(
      () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))),
    );
    if (waiting.get(page).size === 0) return;
    if (Date.now() > end) {
      const urls = [...waiting.get(page)].map((request) => request.url());
      throw new Error(`the page still waits for ${urls.join(", ")}`);
    }
  }
}

/** How many pixels the page is wider than the window. */
export function tooWide(page) {
  return page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement;
    return scrollWidth - clientWidth;
  });
}

/** What is wrong with the page that is shown: violations of WCAG, and pixels by which it is too wide. */
export async function faults(page) {
  // Through the debugger: our own Content-Security-Policy refuses a script that is put into the page.
  if (!(await page.evaluate(() => "axe" in globalThis))) {
    const session = await page.context().newCDPSession(page);
    await session.send("Runtime.evaluate", { expression: axe });
    await session.detach();
  }
  const found = await page.evaluate(async (tags) => {
    const { violations } = await globalThis.axe.run(document, { runOnly: tags });
    return violations.map(
      (each) => `${each.id}: ${each.nodes.map((node) => node.html.slice(0, 140)).join(" | ")}`,
    );
  }, TAGS);
  const over = await tooWide(page);
  return over > 0 ? [...found, `${over} px too wide`] : found;
}

/** The lines of the log that is shown, by their numbers: scrolls from its beginning to its end. */
export async function wholeLog(page) {
  return page.locator("[role=log]").evaluate(async (box) => {
    const lines = new Map();
    const drawn = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    const take = () => {
      for (const row of box.querySelectorAll(".log-row")) {
        lines.set(Number(row.dataset.line), {
          text: (row.querySelector(".log-text") ?? row).textContent,
          stream: Number(row.dataset.stream),
        });
      }
    };
    const step = box.clientHeight / 2;
    for (let top = 0; top <= box.scrollHeight; top += step) {
      box.scrollTop = top;
      // The rows come from a worker: they are there when one of them lies at the top.
      for (let tries = 0; tries < 200; tries++) {
        await drawn();
        take();
        const edge = box.getBoundingClientRect();
        const rows = [...box.querySelectorAll(".log-row")].map((row) => row.getBoundingClientRect());
        const covers = (y) => rows.some((row) => row.top <= y && row.bottom >= y);
        if (covers(edge.top + 2) && covers(Math.min(edge.bottom - 20, edge.top + box.scrollHeight - 25)))
          break;
      }
    }
    return [...lines.entries()].sort(([a], [b]) => a - b).map(([line, rest]) => ({ line, ...rest }));
  });
}
