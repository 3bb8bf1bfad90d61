import { dateTime } from "./time";

/** An instant as a field of date and time has it, in a zone: `2026-03-01T14:02`. */
export function localOf(instant: Date, zone: string): string {
  return dateTime(instant, zone).slice(0, 16).replace(" ", "T");
}

/**
 * The instant that a wall clock of a zone shows: what a field of date and time means there. A time that a jump of the clock
 * leaves out is taken as the instant after the jump, one that comes twice as its first.
 */
export function instantOf(local: string, zone: string): Date | undefined {
  const match = /^(\d{4,6})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::\d\d(?:\.\d+)?)?$/.exec(local);
  const wanted = match ? Date.parse(`${local.slice(0, 16)}Z`) : Number.NaN;
  if (Number.isNaN(wanted)) return undefined;
  // How far the clock is from UTC changes by the instant that is looked for, so both sides of a jump are tried.
  const tries = [-DAY, DAY].map((apart) => wanted - offset(wanted + apart, zone)).sort((a, b) => a - b);
  const exact = tries.find((at) => at + offset(at, zone) === wanted);
  return new Date(exact ?? tries.at(-1) ?? wanted);
}

const DAY = 86_400_000;

/** How far the clock of a zone is ahead of UTC at an instant, in milliseconds. */
function offset(at: number, zone: string): number {
  const whole = Math.floor(at / 60_000) * 60_000;
  return Date.parse(`${localOf(new Date(whole), zone)}Z`) - whole;
}
