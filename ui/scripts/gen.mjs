// Writes src/api/schema.d.ts from ../openapi/tstr.json; with --check it only says whether the file is current.
import { readFile, writeFile } from "node:fs/promises";
import openapiTS, { astToString } from "openapi-typescript";

const source = new URL("../../openapi/tstr.json", import.meta.url);
const target = new URL("../src/api/schema.d.ts", import.meta.url);
const head = "// Generated from openapi/tstr.json by `npm run gen`. Never edited.\n\n";

// A field with a default may be left out of a request: it is not one that is always there.
const text = head + astToString(await openapiTS(source, { defaultNonNullable: false }));
if (process.argv.includes("--check")) {
  const present = await readFile(target, "utf8").catch(() => "");
  if (present !== text) {
    console.error("src/api/schema.d.ts is not what openapi/tstr.json says: run `npm run gen`");
    process.exit(1);
  }
} else {
  await writeFile(target, text);
}
