import { expect, test } from "vitest";
import { parseSearch } from "~/lib/search";
import * as searches from "./searches";

test("reading what was read changes nothing, for every page", () => {
  const all =
    "?tab=config&a=1&b=2&attempt=3&days=7&q=x&label=k%3Dv&label=a%3Db&state=flaky&state=queued&result=fail&sort=name" +
    "&paused=true&kept=false&view=week&range=7d&expired=true&standing=new&status=fail&after=2026-01-01T00:00:00Z";
  for (const [name, read] of Object.entries(searches)) {
    if (typeof read !== "function") continue;
    const once = read(parseSearch(all));
    expect(read(once as Record<string, unknown>), name).toEqual(once);
  }
  expect(searches.runsSearch({ after: "yesterday", before: "2026-01-01T00:00:00+01:00" })).toMatchObject({
    after: undefined,
    before: "2025-12-31T23:00:00.000Z",
  });
  expect(searches.testSearch(parseSearch(all))).toMatchObject({ tab: "config", a: 1, b: 2, days: 7 });
});
