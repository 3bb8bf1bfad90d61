import { expect, test } from "vitest";
import { facetsOf } from "./facets";

const def = (labels: Record<string, string>, owner?: string, cron_schedule?: string) => ({
  labels,
  annotations: owner ? { owner } : ({} as Record<string, string>),
  cron_schedule,
  paused: false,
});

test("labels are counted by key and value, those that tell tests apart first", () => {
  const found = facetsOf([
    def({ app: "shop", region: "nyc" }, "ada", "@daily"),
    def({ app: "shop", region: "nyc" }, "bob"),
    def({ app: "shop", region: "sfo" }, "ada"),
  ]);
  expect(found.labels).toEqual([
    {
      key: "region",
      values: [
        { value: "nyc", count: 2 },
        { value: "sfo", count: 1 },
      ],
      more: 0,
    },
    { key: "app", values: [{ value: "shop", count: 3 }], more: 0 },
  ]);
  expect(found.owners.values).toEqual([
    { value: "ada", count: 2 },
    { value: "bob", count: 1 },
  ]);
  expect([found.scheduled, found.unscheduled]).toEqual([1, 2]);
});

test("of very many values the most frequent are told", () => {
  const tests = Array.from({ length: 12 }, (_, index) => def({ id: `n${String(index).padStart(2, "0")}` }));
  const [ids] = facetsOf([...tests, def({ id: "n11" })], 3).labels;
  expect(ids?.values.map((each) => each.value)).toEqual(["n11", "n00", "n01"]);
  expect(ids?.more).toBe(9);
});
