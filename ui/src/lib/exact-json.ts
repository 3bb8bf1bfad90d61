const MARK = "\u0000exact:";

/** A number whose digits JavaScript cannot hold; it is shown as it was written. */
export class ExactNumber {
  constructor(readonly digits: string) {}
  toString(): string {
    return this.digits;
  }
  /** Marked, so that `stringifyExact` can take the quotes away again. */
  toJSON(): string {
    return MARK + this.digits;
  }
}

const TOKEN = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** Whether JavaScript holds a number so that nothing that counts is lost: fractions may be rounded, whole numbers not. */
function isHeld(digits: string): boolean {
  const value = Number(digits);
  return /^-?\d+$/.test(digits) ? Number.isSafeInteger(value) : Number.isFinite(value);
}

/**
 * Reads JSON without losing digits: an integer past 2^53 comes out as an `ExactNumber`, not rounded. `as written` keeps so
 * every number that JavaScript would write otherwise, as `1.0`. Strings are skipped by the pattern, so digits within them
 * stay what they are.
 */
export function parseExact(text: string, numbers: "as values" | "as written" = "as values"): unknown {
  const keeps = numbers === "as written" ? (digits: string) => String(Number(digits)) === digits : isHeld;
  const marked = text.replace(TOKEN, (token) =>
    token.startsWith('"') || keeps(token) ? token : JSON.stringify(MARK + token),
  );
  return JSON.parse(marked, (_, value) =>
    typeof value === "string" && value.startsWith(MARK) ? new ExactNumber(value.slice(MARK.length)) : value,
  );
}

/** A value as text for a table: strings bare, everything else as JSON. */
export function valueText(value: unknown): string {
  if (value === undefined) return "–";
  if (typeof value === "string") return value;
  if (value instanceof ExactNumber) return value.digits;
  return stringifyExact(value);
}

/** Writes JSON, with exact numbers as bare digits. */
export function stringifyExact(value: unknown, indent?: number): string {
  return JSON.stringify(value, null, indent)?.replace(/"\\u0000exact:([-+.\deE]+)"/g, "$1") ?? "–";
}
