import { fireEvent, screen } from "@testing-library/react";
import { expect, test } from "vitest";
import type { Schema } from "~/api/client";
import { showPart, stubBrowser } from "~/test/render";
import { MatrixGrid } from "./matrix-grid";

stubBrowser();

const cell = (region: string, os: string): Schema["CellState"] =>
  ({
    cell: { region, os },
    status: "healthy",
    strip: "p",
    last_result: "pass",
    last_run: `${region}-${os}`,
  }) as never;

test("a grid is entered by Tab where it has a cell, and arrows step over what never ran", async () => {
  const never = { ...cell("a", "linux"), last_run: undefined };
  showPart(
    <MatrixGrid cells={[never, cell("a", "mac"), cell("b", "linux"), cell("b", "win"), cell("c", "mac")]} />,
  );
  const table = await screen.findByRole("table");
  const links = () => [...table.querySelectorAll<HTMLElement>("[data-at]")];
  const entries = () => links().filter((link) => link.tabIndex === 0);
  const at = () => document.activeElement?.getAttribute("href");
  // Nothing ran at the first row and column.
  expect(links().some((link) => link.dataset.at === "0 0")).toBe(false);
  expect(entries()).toHaveLength(1);
  entries()[0]!.focus();
  expect(at()).toMatch(/a-mac$/);
  // Below it there is no cell in the second row; the third has one.
  fireEvent.keyDown(document.activeElement!, { key: "ArrowDown" });
  expect(at()).toMatch(/c-mac$/);
  fireEvent.keyDown(document.activeElement!, { key: "ArrowDown" });
  expect(at()).toMatch(/c-mac$/);
  // Whoever comes back comes back to where the focus was.
  expect(entries().map((link) => link.getAttribute("href"))).toEqual([at()]);
});
