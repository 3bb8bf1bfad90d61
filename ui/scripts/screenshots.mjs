// Makes the pictures in docs/screenshots: pages of a real instance in both themes, as Chromium's WebP.
//
//   ./scripts/ui-instance npm run screenshots     `just ui-screenshots`
import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { launch, settle, signedIn } from "../e2e/browser.mjs";
import { apply, call, finished, trigger, UI } from "../e2e/instance.mjs";
import { REAL, seed } from "./seed.mjs";

const OUT = new URL("../../docs/screenshots/", import.meta.url);
const QUALITY = 80;
const MOST_BYTES = 1_000_000;
const ns = "shop";

const script = `
echo "::group::Set up"
echo "image $TSTR_TEST, attempt $TSTR_ATTEMPT"; echo "browser chromium 149, 1280 × 800"; echo "::endgroup::"
say() { printf "$1\\n"; busybox sleep 0.1; }
say '\\033[1mRunning 6 tests using 2 workers\\033[0m'
say '  \\033[32m✓\\033[0m  1 front-door.spec.js › the bell rings \\033[2m(412 ms)\\033[0m'
say '  \\033[32m✓\\033[0m  2 front-door.spec.js › the door opens \\033[2m(1.3 s)\\033[0m'
say '  \\033[32m✓\\033[0m  3 kitchen.spec.js › the lights go on \\033[2m(287 ms)\\033[0m'
say '  \\033[36m-\\033[0m  4 kitchen.spec.js › the oven heats'
echo "warning: the hinges squeak" >&2
say '::warning file=door.js,line=7::the hinges squeak'
bad=
if [ -n "$BAD" ]; then
  bad='<failure message="expected 40 degrees, got 12">expect(water.temperature).toBeGreaterThan(40) at bathroom.spec.js:21</failure>'
  say '  \\033[31m✘\\033[0m  5 bathroom.spec.js › the shower is warm \\033[2m(5.0 s)\\033[0m'
  say ''
  say '    \\033[31mError: expected water.temperature to be above 40, it is 12\\033[0m'
  say '      at \\033[36mbathroom.spec.js:21:9\\033[0m'
  say '::error file=bathroom.spec.js,line=21::the shower is cold'
else
  say '  \\033[32m✓\\033[0m  5 bathroom.spec.js › the shower is warm \\033[2m(902 ms)\\033[0m'
fi
say '  \\033[32m✓\\033[0m  6 cellar.spec.js › the pump starts \\033[2m(640 ms)\\033[0m'
busybox mkdir -p "$TSTR_ARTIFACTS"
case_() { echo "<testcase classname='$1' name='$2' time='$3'>$4</testcase>"; }
{
  echo "<testsuite name='house'>"
  case_ front-door "the bell rings" 0.412; case_ front-door "the door opens" 1.3; case_ kitchen "the lights go on" 0.287
  case_ kitchen "the oven heats" 0 '<skipped/>'; case_ bathroom "the shower is warm" 0.9 "$bad"; case_ cellar "the pump starts" 0.64
  echo "</testsuite>"
} >"$TSTR_ARTIFACTS/junit.xml"
echo "requests=\${REQUESTS:-1200}" >>"$TSTR_OUTPUT"
[ -z "$BAD" ] || exit 1
`;

const matrix = { labels: { region: ["nyc", "sfo", "fra"], network: ["public", "private"] } };
await seed({
  ns,
  tests: 48,
  runs: 24_000,
  days: 28,
  script,
  more: { labels: { type: "e2e" }, annotations: { owner: "team-house" }, cron_schedule: "17 * * * *" },
});
for (const [minute, test] of [
  ["*/15 * * * *", "heartbeat"],
  ["30 4 * * *", "nightly"],
  ["0 9 * * 1-5", "office-hours"],
]) {
  await apply(ns, test, "exit 0", { cron_schedule: minute, time_zone: "Europe/Berlin" });
}
// A run after another, as a house has them: it has been warm for a while, and is cold since the last two.
for (const REQUESTS of ["1210", "1190", "1240", "1225"])
  await finished(await trigger(ns, REAL, { env: { REQUESTS } }));
await finished(await trigger(ns, REAL, { env: { BAD: "1", REQUESTS: "1610" } }));
const failed = await trigger(ns, REAL, { env: { BAD: "1", REQUESTS: "1650" } });
await finished(failed);
const passed = (await call("GET", `/namespaces/${ns}/runs?test=${REAL}&result=pass&page_size=1`)).items[0].id;
await apply(ns, "regions", '[ "$TSTR_LABEL_REGION$TSTR_LABEL_NETWORK" != sfoprivate ]; exit $?', { matrix });
for (let round = 0; round < 3; round++) {
  const { runs } = await call("POST", `/namespaces/${ns}/tests/regions/runs`, {});
  for (const { id } of runs) await finished(id);
}
// Some that run, and more that wait.
await apply(ns, "soak", "busybox sleep 600", { labels: { type: "load" } });
const held = [];
for (const priority of ["high", "normal", "normal", "normal", "low", "low", "normal", "normal"]) {
  held.push(await trigger(ns, "soak", { priority }));
}

const PAGES = {
  dashboard: "",
  tests: "/tests",
  test: "/tests/search-api",
  cases: `/tests/${REAL}?tab=cases`,
  run: `/runs/${failed}`,
  compare: `/compare?a=${passed}&b=${failed}`,
  queue: "/queue",
  schedules: "/schedules?view=week",
};
const SMALL = ["dashboard", "run", "tests"];

rmSync(OUT, { recursive: true, force: true });
mkdirSync(OUT, { recursive: true });
const browser = await launch();
try {
  for (const theme of ["light", "dark"]) {
    await shoot(theme, 1280, 800, Object.keys(PAGES), "");
    await shoot(theme, 375, 760, SMALL, "-small");
  }
} finally {
  await browser.close();
  for (const id of held) await call("POST", `/runs/${id}/cancel`);
}
const files = readdirSync(OUT).map((name) => ({ name, bytes: statSync(new URL(name, OUT)).size }));
const sum = files.reduce((all, { bytes }) => all + bytes, 0);
console.log(`${files.length} pictures, ${sum} bytes in all`);
if (sum > MOST_BYTES) throw new Error(`that is more than ${MOST_BYTES} bytes`);

async function shoot(theme, width, height, names, suffix) {
  const { context, page } = await signedIn(browser, {
    colorScheme: theme,
    viewport: { width, height },
    reducedMotion: "reduce",
    timezoneId: "UTC",
  });
  for (const name of names) {
    await page.goto(`${UI}/ns/${ns}${PAGES[name]}`);
    await settle(page);
    // Playwright writes PNG and JPEG only; the browser itself knows WebP, which is a tenth of PNG.
    const session = await context.newCDPSession(page);
    const { data } = await session.send("Page.captureScreenshot", { format: "webp", quality: QUALITY });
    await session.detach();
    writeFileSync(new URL(`${name}${suffix}-${theme}.webp`, OUT), Buffer.from(data, "base64"));
  }
  await context.close();
}
