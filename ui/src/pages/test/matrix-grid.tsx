import { Link } from "@tanstack/react-router";
import { type KeyboardEvent, useRef, useState } from "react";
import type { Schema } from "~/api/client";
import { useNs } from "~/app/namespace";
import { axes } from "~/lib/matrix";
import { cellText } from "~/parts/basics";
import { StateIcon, type StateWord } from "~/parts/state";

type Cell = Schema["CellState"];

/** The cells of a matrix as a grid: any two keys are its axes, the others filter. Arrows move, Enter opens the last run. */
export function MatrixGrid({ cells }: { cells: Cell[] }) {
  const ns = useNs();
  const found = axes(cells.map((cell) => cell.cell));
  const keys = [...found.keys()];
  const [down, setDown] = useState(keys[0] ?? "");
  const [across, setAcross] = useState(keys[1] ?? "");
  const [rest, setRest] = useState<Record<string, string>>({});
  const table = useRef<HTMLTableElement>(null);
  const others = keys.filter((key) => key !== down && key !== across);
  const rows = found.get(down) ?? [];
  const columns = found.get(across) ?? [];
  const at = (row: string, column: string) =>
    cells.filter(
      ({ cell }) =>
        cell[down] === row &&
        cell[across] === column &&
        others.every((key) => !rest[key] || cell[key] === rest[key]),
    );
  /** The worst of the cells at each place that has a run, by its row and column. */
  const shown = new Map<string, Cell>();
  rows.forEach((row, r) => {
    columns.forEach((column, c) => {
      const worst = at(row, column).sort((a, b) => weight(b) - weight(a))[0];
      if (worst?.last_run) shown.set(`${r} ${c}`, worst);
    });
  });
  // One place can be reached by Tab: where the focus was last, else the first that there is.
  const [left, setLeft] = useState<string>();
  const entry = left !== undefined && shown.has(left) ? left : shown.keys().next().value;
  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    const place = (event.target as HTMLElement).dataset.at?.split(" ").map(Number);
    if (!step || !place) return;
    event.preventDefault();
    const [down = 0, right = 0] = step;
    let [r = 0, c = 0] = place;
    // A combination that never ran is stepped over.
    do {
      r += down;
      c += right;
    } while (rows[r] !== undefined && columns[c] !== undefined && !shown.has(`${r} ${c}`));
    table.current?.querySelector<HTMLElement>(`[data-at="${r} ${c}"]`)?.focus();
  };
  const axis = (
    label: string,
    value: string,
    other: string,
    set: (key: string) => void,
    swap: (key: string) => void,
  ) => (
    <label className="flex items-center gap-1.5">
      <span className="text-muted">{label}</span>
      <select
        className="input"
        value={value}
        onChange={(event) => {
          if (event.target.value === other) swap(value);
          set(event.target.value);
        }}
      >
        {keys.map((key) => (
          <option key={key}>{key}</option>
        ))}
      </select>
    </label>
  );
  return (
    <div className="border-b">
      <div className="flex flex-wrap gap-3 px-3.5 pt-2.5 text-sm">
        {axis("Down", down, across, setDown, setAcross)}
        {axis("Across", across, down, setAcross, setDown)}
        {others.map((key) => (
          <label key={key} className="flex items-center gap-1.5">
            <span className="text-muted">{key}</span>
            <select
              className="input"
              value={rest[key] ?? ""}
              onChange={(event) => setRest({ ...rest, [key]: event.target.value })}
            >
              <option value="">all, the worst</option>
              {found.get(key)?.map((value) => (
                <option key={value}>{value}</option>
              ))}
            </select>
          </label>
        ))}
      </div>
      <div className="overflow-x-auto p-3.5">
        <table ref={table} onKeyDown={onKeyDown} className="border-separate border-spacing-1 text-sm">
          <caption className="visually-hidden">
            Latest results by {down} and {across}; arrow keys move
          </caption>
          <thead>
            <tr>
              <td />
              {columns.map((column) => (
                <th key={column} scope="col" className="px-1 pb-1 text-left font-normal text-muted">
                  {column}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((row, r) => (
              <tr key={row}>
                <th scope="row" className="pr-3 text-right font-normal whitespace-nowrap text-muted">
                  {row}
                </th>
                {columns.map((column, c) => {
                  const place = `${r} ${c}`;
                  const cell = shown.get(place);
                  return (
                    <td key={column} className="p-0">
                      {cell?.last_run ? (
                        <Link
                          data-at={place}
                          tabIndex={place === entry ? 0 : -1}
                          onFocus={() => setLeft(place)}
                          to="/ns/$ns/runs/$run"
                          params={{ ns, run: cell.last_run }}
                          className="flex h-8 w-full min-w-8 items-center justify-center rounded bg-sunken hover:bg-accent-soft"
                          title={cellText(cell.cell)}
                        >
                          <StateIcon state={wordOf(cell)} alone />
                        </Link>
                      ) : (
                        <span className="flex h-8 min-w-8 items-center justify-center text-muted">–</span>
                      )}
                    </td>
                  );
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </div>
  );
}

function wordOf(cell: Cell): StateWord {
  return cell.last_result === "pass" && cell.status === "flaky" ? "flaky" : (cell.last_result ?? "never");
}

function weight(cell: Cell): number {
  return (
    { fail: 4, error: 3, timed_out: 3, cancelled: 1, pass: 0 }[cell.last_result ?? "pass"] +
    (cell.status === "healthy" ? 0 : 0.5)
  );
}
