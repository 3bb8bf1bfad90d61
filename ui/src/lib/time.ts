/** How absolute times are shown: in UTC, as the browser's clock, or in a named IANA zone. */
export type ZoneChoice = string;

const formats = new Map<string, Intl.DateTimeFormat>();

function format(zone: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = `${zone} ${JSON.stringify(options)}`;
  let found = formats.get(key);
  if (!found) {
    found = new Intl.DateTimeFormat("en-GB", { timeZone: zone, hourCycle: "h23", ...options });
    formats.set(key, found);
  }
  return found;
}

function parts(instant: Date, zone: string): Record<string, string> {
  const list = format(zone, {
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
  }).formatToParts(instant);
  return Object.fromEntries(list.map((part) => [part.type, part.value]));
}

/** The IANA name that a choice means: `utc`, `local` or a name. One that the browser does not know is taken as UTC. */
export function zoneName(choice: ZoneChoice): string {
  if (choice === "utc") return "UTC";
  if (choice === "local") return Intl.DateTimeFormat().resolvedOptions().timeZone;
  return isZone(choice) ? choice : "UTC";
}

/** Whether the browser knows a zone of this name. */
export function isZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en-GB", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

/** The short name of a zone at an instant, as `UTC`, `CET` or `GMT-4`. */
export function zoneLabel(instant: Date, zone: string): string {
  if (zone === "UTC") return "UTC";
  const part = format(zone, { timeZoneName: "short" })
    .formatToParts(instant)
    .find((each) => each.type === "timeZoneName");
  return part?.value ?? zone;
}

/** `2026-03-01 14:02:11`, with milliseconds if asked. The zone stands beside it, always. */
export function dateTime(instant: Date, zone: string, withMillis = false): string {
  const p = parts(instant, zone);
  const millis = withMillis ? `.${String(instant.getUTCMilliseconds()).padStart(3, "0")}` : "";
  return `${p.year}-${p.month}-${p.day} ${p.hour}:${p.minute}:${p.second}${millis}`;
}

/** `14:02:11`. */
export function clock(instant: Date, zone: string, withMillis = false): string {
  return dateTime(instant, zone, withMillis).slice(11);
}

/** `2026-03-01`. */
export function day(instant: Date, zone: string): string {
  return dateTime(instant, zone).slice(0, 10);
}

/** `Mon 2 Mar`. */
export function weekday(instant: Date, zone: string): string {
  return format(zone, { weekday: "short", day: "numeric", month: "short" }).format(instant).replace(",", "");
}

const STEPS: [limit: number, size: number, unit: string][] = [
  [60, 1, "s"],
  [3_600, 60, "min"],
  [86_400 * 2, 3_600, "h"],
  [86_400 * 60, 86_400, "d"],
  [Number.POSITIVE_INFINITY, 86_400 * 30, "mo"],
];

/** `3 min ago`, `in 2 h`, `now`: for reading, never instead of the exact time. */
export function relative(instant: Date, now: Date): string {
  const seconds = Math.round((instant.getTime() - now.getTime()) / 1000);
  const far = Math.abs(seconds);
  if (far < 2) return "now";
  const [, size, unit] = STEPS.find(([limit]) => far < limit)!;
  const amount = `${Math.floor(far / size)} ${unit}`;
  return seconds < 0 ? `${amount} ago` : `in ${amount}`;
}

/** `840 ms`, `3.2 s`, `4 min 05 s`, `2 h 03 min`: three digits are what a person compares. */
export function duration(ms: number): string {
  if (!Number.isFinite(ms)) return "–";
  if (ms < 0) return `−${duration(-ms)}`;
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 9_950) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${pad(seconds % 60)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 2_880) return `${Math.floor(minutes / 60)} h ${pad(minutes % 60)} min`;
  return `${Math.floor(minutes / 1_440)} d ${pad(Math.floor((minutes % 1_440) / 60))} h`;
}

function pad(n: number): string {
  return String(n).padStart(2, "0");
}

/** The milliseconds of a duration as the API writes it: `900s`. */
export function durationMs(text: string | undefined): number | undefined {
  const match = /^(\d+(?:\.\d+)?)s$/.exec(text ?? "");
  return match ? Number(match[1]) * 1_000 : undefined;
}

/** The milliseconds between two instants of the API, or from one until now. */
export function between(from: string | undefined, to: string | Date | undefined): number | undefined {
  if (!from || !to) return undefined;
  return new Date(to).getTime() - new Date(from).getTime();
}

/** The last millisecond before an instant: lists take runs after the bound that they are given, not at it. */
export function justBefore(instant: string): string {
  return new Date(Date.parse(instant) - 1).toISOString();
}
