import type { Schema } from "~/api/client";

type Labelled = Pick<Schema["TestDef"], "labels" | "annotations" | "cron_schedule" | "paused">;

/** A value that tests have, and how many have it. */
export interface FacetValue {
  value: string;
  count: number;
}

/** A key with its values, those that most tests have first. */
export interface Facet {
  key: string;
  values: FacetValue[];
  /** How many further values there are. */
  more: number;
}

/** What tests can be told apart by. */
export interface Facets {
  labels: Facet[];
  owners: Facet;
  scheduled: number;
  unscheduled: number;
}

/** Counts what tests are labelled with. Keys that all tests share with one value tell nothing apart, and come last. */
export function facetsOf(tests: readonly Labelled[], most = 8): Facets {
  const labels = new Map<string, Map<string, number>>();
  const owners = new Map<string, number>();
  let scheduled = 0;
  for (const test of tests) {
    for (const [key, value] of Object.entries(test.labels)) {
      const values = labels.get(key) ?? new Map<string, number>();
      labels.set(key, values);
      values.set(value, (values.get(value) ?? 0) + 1);
    }
    const owner = test.annotations.owner;
    if (owner) owners.set(owner, (owners.get(owner) ?? 0) + 1);
    if (test.cron_schedule) scheduled += 1;
  }
  const tellsApart = (facet: Facet) =>
    Number(facet.values.length > 1 || facet.values[0]?.count !== tests.length);
  return {
    labels: [...labels]
      .map(([key, values]) => facet(key, values, most))
      .sort((a, b) => tellsApart(b) - tellsApart(a) || a.key.localeCompare(b.key)),
    owners: facet("owner", owners, most),
    scheduled,
    unscheduled: tests.length - scheduled,
  };
}

function facet(key: string, counts: Map<string, number>, most: number): Facet {
  const values = [...counts]
    .map(([value, count]) => ({ value, count }))
    .sort((a, b) => b.count - a.count || a.value.localeCompare(b.value));
  return { key, values: values.slice(0, most), more: Math.max(0, values.length - most) };
}
