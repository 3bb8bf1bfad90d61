const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** `512 B`, `1.4 MiB`. */
export function bytes(n: number): string {
  let value = n;
  let unit = 0;
  while (value >= 1_024 && unit < UNITS.length - 1) {
    value /= 1_024;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

const grouped = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 6 });

/** Below this the six digits behind the point are not enough. */
const SMALL = 1e-3;

/** `12,345`; `1e-7`, where rounding would say that there is nothing. */
export function count(n: number): string {
  return n !== 0 && Math.abs(n) < SMALL ? String(Number(n.toPrecision(6))) : grouped.format(n);
}

/** A count that ends at a limit: `1,000+` says that there are more. */
export function counted(value: { count: number; more: boolean } | undefined): string {
  return value ? `${count(value.count)}${value.more ? "+" : ""}` : "0";
}

/** `1 run`, `3 runs`, `2 classes`. */
export function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/** `99.3 %`; 100 % and 0 % are said only where they are exact, since «100 %» with a failure in it is a lie. */
export function percent(part: number, whole: number): string {
  if (whole === 0) return "–";
  const share = (part / whole) * 100;
  if (part === whole) return "100 %";
  if (part === 0) return "0 %";
  return `${Math.min(Math.max(share, 0.1), 99.9).toFixed(share > 10 && share < 90 ? 0 : 1)} %`;
}

/** A signed change with its share: `+1.2 s (+14 %)` needs both, since either alone misleads. */
export function signed(n: number, write: (n: number) => string): string {
  return n === 0 ? "±0" : `${n > 0 ? "+" : "−"}${write(Math.abs(n))}`;
}

/** The relative change of a ratio: 1.14 is `+14 %`. */
export function ratio(r: number | undefined | null): string {
  if (r === undefined || r === null || !Number.isFinite(r)) return "";
  const share = (r - 1) * 100;
  const rounded = Math.abs(share) >= 10 ? Math.round(share) : Math.round(share * 10) / 10;
  return rounded === 0 ? "±0 %" : `${rounded > 0 ? "+" : "−"}${Math.abs(rounded)} %`;
}
