import { expect, test } from "vitest";
import { doMany, type Outcome } from "./many";

async function outcomes(items: number[], isFinal: (error: unknown) => boolean) {
  const told: Outcome<number, number>[] = [];
  await doMany(
    items,
    async (item) => {
      if (item % 2 === 1) throw new Error(`odd ${item}`);
      return item * 10;
    },
    (outcome) => told.push(outcome),
    isFinal,
  );
  return told.map((each) => each.made ?? String(each.error));
}

test("one that fails does not keep the others from their turn", async () => {
  expect(await outcomes([2, 3, 4], () => false)).toEqual([20, "Error: odd 3", 40]);
});

test("nothing is tried after a failure that all would have", async () => {
  expect(await outcomes([2, 3, 4], () => true)).toEqual([20, "Error: odd 3"]);
});
