// Fails the build when a page would load more than its budget (gzip): a first page 150 kB, a further route 40 kB, the
// whole app 350 kB. What a page loads is read from Vite's manifest, so a new import is counted without anybody's doing.
import { readFile, rm } from "node:fs/promises";
import { gzipSync } from "node:zlib";

const dist = new URL("../dist/", import.meta.url);
const manifest = JSON.parse(await readFile(new URL(".vite/manifest.json", dist), "utf8"));
const KB = 1000;
const FIRST = 150 * KB;
const FURTHER = 40 * KB;
const WHOLE = 350 * KB;

const sizes = new Map();
async function size(file) {
  if (!sizes.has(file)) sizes.set(file, gzipSync(await readFile(new URL(file, dist)), { level: 9 }).length);
  return sizes.get(file);
}

/** All files that loading a chunk loads: itself, its styles and its static imports. */
function files(key, seen = new Set()) {
  const chunk = manifest[key];
  if (!chunk || seen.has(chunk.file)) return seen;
  seen.add(chunk.file);
  for (const css of chunk.css ?? []) seen.add(css);
  for (const next of chunk.imports ?? []) files(next, seen);
  return seen;
}

const sum = async (list) => (await Promise.all([...list].map(size))).reduce((a, b) => a + b, 0);
const kb = (bytes) => `${(bytes / KB).toFixed(1).padStart(6)} kB`;

const entry = Object.keys(manifest).find((key) => manifest[key].isEntry);
const base = files(entry);
// What a page shows first is loaded with it, though it is a file of its own.
const SHOWN_FIRST = {
  "src/pages/run/run.tsx": ["src/pages/run/log-tab.tsx"],
  "src/pages/test/test.tsx": ["src/pages/test/overview.tsx"],
};
const routes = new Set(
  [
    ...(await readFile(new URL("../src/app/router.tsx", import.meta.url), "utf8")).matchAll(
      /~\/(pages\/[\w/-]+)"/g,
    ),
  ].map((match) => `src/${match[1]}.tsx`),
);

if (routes.size === 0) throw new Error("no page is named by the routes, so that none would be measured");

let failed = false;
console.log(`${kb(await sum(base))}  entry`);
for (const key of Object.keys(manifest)
  .filter((k) => manifest[k].isDynamicEntry)
  .sort()) {
  const all = files(key);
  for (const also of SHOWN_FIRST[key] ?? []) files(also, all);
  const extra = await sum([...all].filter((file) => !base.has(file)));
  const first = await sum(new Set([...base, ...all]));
  const isRoute = routes.has(key);
  const bad = extra > FURTHER || (isRoute && first > FIRST);
  failed ||= bad;
  console.log(
    `${kb(extra)}  ${key}${isRoute ? `, as the first page ${kb(first).trim()}` : ""}${bad ? "  OVER BUDGET" : ""}`,
  );
}
const everything = await sum(
  new Set(Object.values(manifest).flatMap((chunk) => [chunk.file, ...(chunk.css ?? [])])),
);
console.log(`${kb(everything)}  everything`);
// It was made for this script; the server has no use for it.
await rm(new URL(".vite", dist), { recursive: true });
if (failed || everything > WHOLE) {
  console.error("over the budget of bytes");
  process.exit(1);
}
