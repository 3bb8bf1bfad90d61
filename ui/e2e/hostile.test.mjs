// What a test wrote, or somebody called things, is shown as text wherever it is shown: nothing of it becomes an element, a
// script or an order, and the policy has nothing to refuse.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, listenedTo, settle, signedIn, tooWide } from "./browser.mjs";
import { apply, call, finished, namespace, trigger, UI } from "./instance.mjs";

const NS = await namespace("hostile");
const TEST = "hostile";
// Any of these sets a variable when it is taken for what it pretends to be.
const IMG = `<img src=x onerror=globalThis.pwned=1>`;
const HTML = `"><svg onload=globalThis.pwned=2></svg>${IMG}<script>globalThis.pwned=3</script><base href="//evil.example/">`;
const LINK = "javascript:globalThis.pwned=4";
const BIDI = "\u202egpj.exe\u2066";
const NAME = `${IMG}${BIDI}`;
const ESC = "\u001b";
// Titles, links, the clipboard, a cleared screen, moves of the cursor, a reset, and an order that never ends.
const ORDERS = [
  `${ESC}]0;pwned${"\u0007"}`,
  `${ESC}]8;;${LINK}${ESC}\\click me${ESC}]8;;${ESC}\\`,
  `${ESC}]8;;https://evil.example/${IMG}\u0007here${ESC}]8;;\u0007`,
  `${ESC}]52;c;cHduZWQ=\u0007`,
  `${ESC}[2J${ESC}[1;1H${ESC}c${ESC}[?1049h`,
  `${ESC}[38;2;1;2;3;url(${LINK})m`,
  `${ESC}P+q544e${ESC}\\`,
  `${ESC}]unfinished`,
];
const LINES = [
  HTML,
  IMG,
  `see ${LINK} and data:text/html,${IMG} and http://evil.example/"onmouseover=globalThis.pwned=5`,
  `the file photo_${BIDI} is here`,
  `::error file=${IMG},line=1::${HTML}`,
  `::group::${HTML}`,
  `${ESC}[31m${HTML}${ESC}[0m`,
  ...ORDERS,
  "\u0000\u0001\u0085\u2028\u2029 and what is no line's end",
];
const SUMMARY = `# ${HTML}

[a link](${LINK}) [another](JaVaScRiPt:globalThis.pwned=6) [data](data:text/html;base64,PHNjcmlwdD4=) <${LINK}>
![an image](x"onerror="globalThis.pwned=7) [ok](https://example.org/"onmouseover="globalThis.pwned=8)

${HTML}

| ${IMG} | ${BIDI} |
|---|---|
| ${HTML.replaceAll("|", "")} | ${IMG} |

\`\`\`html
${HTML}
\`\`\`
`;
const SVG = `<svg xmlns="http://www.w3.org/2000/svg" onload="globalThis.pwned=9"><script>globalThis.pwned=10;document.title='pwned'</script></svg>`;
const PAGE = `<!doctype html><title>a report</title><h1 id=here>a report</h1>${IMG}<script>globalThis.pwned=11;document.title="pwned";fetch("/api/v1/identity").then(r=>r.text()).then(t=>document.title=t)</script><form action="/api/v1/session" method=post><button>go</button></form>`;
const FILES = {
  "report.html": PAGE,
  "picture.svg": SVG,
  [`${IMG}.txt`]: HTML,
  "data.json": JSON.stringify({ [IMG]: HTML }),
};
const escaped = (text) =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
const REPORT = `<testsuite name="${escaped(HTML)}"><testcase classname="${escaped(NAME)}" name="${escaped(HTML)}" file="${escaped(IMG)}"><failure message="${escaped(HTML)}" type="${escaped(IMG)}">${escaped(LINES.slice(0, 4).join("\n"))}</failure><system-out>${escaped(HTML)}</system-out></testcase></testsuite>`;
const base64 = (text) => Buffer.from(text).toString("base64");
const write = (text, to) => `echo '${base64(text)}' | busybox base64 -d >>${to}`;
const SCRIPT = [
  ...LINES.map((line) => `${write(line, "/tstr/line")}; busybox cat /tstr/line; echo; busybox rm /tstr/line`),
  'busybox mkdir -p "$TSTR_ARTIFACTS"',
  ...Object.entries(FILES).map(([name, text]) => write(text, `"$TSTR_ARTIFACTS/${name}"`)),
  write(REPORT, '"$TSTR_ARTIFACTS/junit.xml"'),
  write(SUMMARY, '"$TSTR_SUMMARY"'),
  write(`${JSON.stringify({ [NAME]: HTML, number: 3, [HTML]: [LINK] })}\n`, '"$TSTR_OUTPUT"'),
  write(`requests,tag=${IMG.replaceAll(/[ =,]/g, "\\$&")} count=3i\n`, '"$TSTR_METRICS"'),
  "exit 1",
].join("\n");

let browser;
let run;
let earlier;
let caseId;
before(async () => {
  browser = await launch();
  await apply(NS, TEST, SCRIPT, {
    labels: { region: NAME, attack: HTML.slice(0, 100) },
    annotations: { owner: NAME, about: HTML },
    cron_schedule: "0 4 * * *",
    matrix: { labels: { shape: [IMG, BIDI] } },
    run_config: { env: { PAYLOAD: HTML, LINK } },
  });
  const { runs } = await call("POST", `/namespaces/${NS}/tests/${TEST}/runs`, {});
  for (const each of runs) await finished(each.id);
  earlier = runs[0].id;
  run = await trigger(NS, TEST, { labels: { more: HTML.slice(0, 100) }, env: { MORE: HTML } });
  assert.equal((await finished(run)).result, "fail");
  await call("POST", `/runs/${run}/keep`, { note: HTML });
  caseId = (await call("GET", `/runs/${run}/cases`)).items[0].case_id;
  await call("PUT", `/namespaces/${NS}/tests/${TEST}/quarantine/${caseId}`, {
    mode: "mute",
    owner: NAME,
    reason: HTML,
    days: 3,
  });
  const view = encodeURIComponent(`${IMG}`);
  await call("PUT", `/namespaces/${NS}/views/${view}`, { page: "tests", query: "q=%3Cimg%3E", shared: true });
  await call("POST", "/tokens", { name: NAME, scopes: ["data"], namespaces: [NS], expires_in: "1h" });
});
after(() => browser?.close());

/** What of the content has become more than text. */
const grown = (page) =>
  page.evaluate(() => ({
    ran: globalThis.pwned,
    title: /^pwned/.test(document.title),
    images: document.querySelectorAll("img[src='x'], [onerror], [onload], [onmouseover]").length,
    scripts: [...document.scripts].filter((each) => /pwned/.test(each.text)).length,
    links: [...document.querySelectorAll("a[href]")]
      .map((each) => each.getAttribute("href"))
      .filter((href) => /^\s*(javascript|data|vbscript):/i.test(href)),
    bases: document.querySelectorAll("base").length,
  }));
const NOTHING = { ran: undefined, title: false, images: 0, scripts: 0, links: [], bases: 1 };

test("no page takes content for anything but text", async (t) => {
  const { context, page, errors } = await signedIn(browser, { viewport: { width: 375, height: 800 } });
  const file = (name) => `/runs/${run}?tab=artifacts&file=${encodeURIComponent(name)}`;
  // On these pages the content itself must be there: a page that leaves it out proves nothing.
  const shows = new Map([
    [`/runs/${run}`, "onerror"],
    [`/runs/${run}?tab=cases`, "onload"],
    [`/runs/${run}?tab=cases&case=${caseId}`, "onload"],
    [`/runs/${run}?tab=data`, "onload"],
    [`/runs/${run}?tab=artifacts`, "onerror"],
    [file(`${IMG}.txt`), "onload"],
    [file("data.json"), "onload"],
    [file("report.html"), "Open in a sandbox"],
    [file("picture.svg"), "Open in a sandbox"],
    [`/runs/${run}?tab=summary`, "onload"],
    [`/runs/${run}?tab=spec`, "onload"],
    [`/runs/${run}?tab=events`, ""],
    [`/tests/${TEST}`, "onerror"],
    ...["runs", "cases", "failures", "analysis", "metrics", "schedule"].map((tab) => [
      `/tests/${TEST}?tab=${tab}`,
      "onerror",
    ]),
    [`/tests/${TEST}?tab=cases&case=${caseId}`, "onload"],
    [`/tests/${TEST}?tab=config`, "onload"],
    [`/tests/${TEST}?tab=quarantine`, "onload"],
    [`/compare?a=${earlier}&b=${run}`, "onload"],
    ["/tests", "onerror"],
    [`/tests?q=${encodeURIComponent(HTML)}`, ""],
    [`/tests?owner=${encodeURIComponent(NAME)}`, "onerror"],
    [`/runs?label=${encodeURIComponent(`region=${NAME}`)}`, "onerror"],
    [`/runs?test=${encodeURIComponent(HTML)}`, ""],
    ["/runs", "onerror"],
    ["/admin", "onerror"],
    ...["", "/queue", "/schedules", `/runs/${encodeURIComponent(IMG)}`, "/admin?tab=namespaces"].map(
      (each) => [each, ""],
    ),
  ]);
  for (const [address, word] of shows) {
    await t.test(address.slice(0, 100) || "/", async () => {
      errors.length = 0;
      await page.goto(`${UI}/ns/${NS}${address}`);
      await settle(page);
      if (word) await page.locator("main").getByText(word).first().waitFor({ timeout: 10_000 });
      assert.deepEqual(await grown(page), NOTHING);
      const said = errors.filter((each) => !/status of 4(00|04|22)/.test(each));
      assert.deepEqual([await tooWide(page), said], [0, []]);
    });
  }
  await context.close();
});

test("a log is drawn as it was written, without the orders to a terminal that are in it", async () => {
  const { context, page, errors } = await signedIn(browser);
  await page.goto(`${UI}/ns/${NS}/runs/${run}#L1`);
  const texts = page.locator(".log-row");
  await texts.first().waitFor();
  await settle(page);
  const all = await texts.allInnerTexts();
  const log = all.join("\n");
  for (const part of [HTML, `see ${LINK}`, "click me", "the file photo_"])
    assert.ok(log.includes(part), part);
  for (const part of [ESC, "\u0007", "pwned=4\u001b", "cHduZWQ", "[2J"]) {
    assert.ok(!log.includes(part), `${JSON.stringify(part)} is shown`);
  }
  assert.notEqual(await page.title(), "pwned");
  // What would turn the direction of writing is spelled out.
  assert.ok(log.includes("the file photo_[U+202E]gpj.exe[U+2066] is here"), log);
  assert.deepEqual([await grown(page), errors], [NOTHING, []]);
  await context.close();
});

test("files of a test open in a sandbox: no script, no network, an origin of their own", async () => {
  const { context } = await signedIn(browser);
  for (const name of ["report.html", "picture.svg"]) {
    const { page } = await listenedTo(context);
    const answered = [];
    page.on("response", (response) => answered.push(response.url()));
    const address = `${UI}/api/v1/runs/${run}/artifacts/${name}?view=true`;
    const answer = await page.goto(address);
    assert.match(answer.headers()["content-security-policy"], /sandbox/);
    assert.equal(answer.headers()["x-content-type-options"], "nosniff");
    const { ran, title, origin } = await page.evaluate(() => ({
      ran: globalThis.pwned,
      title: document.title,
      origin: globalThis.origin,
    }));
    assert.deepEqual([ran, origin, /pwned|scopes/.test(title)], [undefined, "null", false], name);
    assert.deepEqual(answered, [address], "it gets nothing else, not even its image");
    await page.close();
    // Without `view` it is a file to be kept, whatever it holds.
    const kept = await context.request.get(`${UI}/api/v1/runs/${run}/artifacts/${name}`);
    assert.match(kept.headers()["content-disposition"], /^attachment/);
    assert.match(kept.headers()["content-type"], /^(text\/plain|application\/octet-stream)/);
  }
  const shown = await context.request.get(`${UI}/api/v1/runs/${run}/artifacts/report.html?view=true`);
  assert.match(shown.headers()["content-security-policy"], /frame-ancestors 'none'/);
  await context.close();
});

test("the policy would tell: the same page refuses a script that is put into it", async () => {
  const { context, page, errors } = await signedIn(browser);
  await page.goto(`${UI}/ns/${NS}`);
  await settle(page);
  const refused = await page.evaluate(() => {
    try {
      document.body.insertAdjacentHTML("beforeend", "<img src=x onerror=globalThis.pwned=1>");
      return false;
    } catch {
      return true;
    }
  });
  await page.evaluate(async () => {
    const image = new Image();
    const ended = new Promise((done) => {
      image.onerror = done;
    });
    image.src = "https://evil.example/x.png";
    await ended;
  });
  assert.equal(refused, true, "trusted types stand before the sink");
  assert.equal(await page.evaluate(() => globalThis.pwned), undefined);
  assert.ok(
    errors.some((each) => /the policy refuses img-src/.test(each)),
    errors.join("\n"),
  );
  assert.ok(
    errors.some((each) => /the policy refuses require-trusted-types-for/.test(each)),
    errors.join("\n"),
  );
  await context.close();
});
