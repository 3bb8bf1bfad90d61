/** What stands behind `?`: each key once, with its text, or with its texts where it is repeated. */
export type Search = Record<string, string | string[] | undefined>;

/** Reads a query string. Everything stays text: a test may be called `123` or `true`. */
export function parseSearch(text: string): Search {
  const search: Search = {};
  for (const [key, value] of new URLSearchParams(text)) {
    const present = search[key];
    if (present === undefined) search[key] = value;
    else if (Array.isArray(present)) present.push(value);
    else search[key] = [present, value];
  }
  return search;
}

/** Writes a query string, with its `?`; what is absent, empty or `undefined` is left out. */
export function stringifySearch(search: Record<string, unknown>): string {
  const params = new URLSearchParams();
  for (const [key, value] of Object.entries(search)) {
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each !== undefined && each !== null && each !== "") params.append(key, String(each));
    }
  }
  // A colon, a slash and a comma may stand in a query as they are, and a person reads the address.
  const text = params.toString().replaceAll("%3A", ":").replaceAll("%2F", "/").replaceAll("%2C", ",");
  return text ? `?${text}` : "";
}

/** One text, or nothing. */
export function text(value: unknown): string | undefined {
  const first = Array.isArray(value) ? value[0] : value;
  return typeof first === "string" && first !== "" ? first : undefined;
}

/** A list of texts, or nothing when there is none. */
export function texts(value: unknown): string[] | undefined {
  const list = (Array.isArray(value) ? value : [value]).filter(
    (each): each is string => typeof each === "string" && each !== "",
  );
  return list.length > 0 ? list : undefined;
}

/** One of the words given, or nothing: what else stands in an address is ignored, not an error. */
export function word<const W extends string>(value: unknown, words: readonly W[]): W | undefined {
  const found = text(value);
  return words.find((each) => each === found);
}

/** Those of the words given that occur, or nothing. */
export function words<const W extends string>(value: unknown, known: readonly W[]): W[] | undefined {
  const found = texts(value)?.filter((each): each is W => (known as readonly string[]).includes(each));
  return found && found.length > 0 ? found : undefined;
}

/** A whole number from 0, or nothing. The router reads what it has read before once more, so a number stays one. */
export function whole(value: unknown): number | undefined {
  if (typeof value === "number") return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
  const found = text(value);
  return found !== undefined && /^\d{1,9}$/.test(found) ? Number(found) : undefined;
}

/** An instant as the API writes it, or nothing: what a clock cannot show would break the page that shows it. */
export function instant(value: unknown): string | undefined {
  const found = text(value);
  const at = found === undefined ? Number.NaN : Date.parse(found);
  return Number.isNaN(at) ? undefined : new Date(at).toISOString();
}
