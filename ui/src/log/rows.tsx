import { memo } from "react";
import { keptStore } from "~/lib/store";
import { clock, dateTime, zoneLabel } from "~/lib/time";
import type { Drawn, ShownRow } from "./protocol";

/** How high a row is. All are equally high, so that a place in the log is a multiplication. */
export const ROW_PX = 20;

/** How times are shown. */
export const TIMES = ["off", "relative", "absolute"] as const;
export type Times = (typeof TIMES)[number];

/** How times are shown, and whether lines are wrapped (`on` or `off`): of this browser, for all logs. */
export const timesChoice = keptStore("tstr.log.times", "off");
export const wrapChoice = keptStore("tstr.log.wrap", "off");

/** How rows are drawn. */
export interface Drawing {
  times: Times;
  zone: string;
  startedAt: number;
  /** How many columns the numbers take; 0 for a log of which they are not known. */
  digits: number;
}

/** The time of a line, or since the first line. */
export function timeText(time: number, { times, zone, startedAt }: Drawing): string {
  if (times === "off" || !time) return "";
  if (times === "absolute") return clock(new Date(time), zone, true);
  const millis = Math.max(0, time - startedAt);
  const seconds = Math.floor(millis / 1_000);
  const rest = String(Math.floor(millis % 1_000)).padStart(3, "0");
  const two = (n: number) => String(n).padStart(2, "0");
  const hours = Math.floor(seconds / 3_600);
  return `+${hours > 0 ? `${hours}:` : ""}${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}.${rest}`;
}

/** With the name that the zone has at that instant: at the end of summer time an hour comes twice. */
function exactly(time: Date, zone: string): string {
  return `${dateTime(time, zone, true)} ${zoneLabel(time, zone)}`;
}

/** One row of the log. */
export const LogRow = memo(function LogRow({
  row,
  y,
  drawing,
  isMarked,
  isAt,
  onNumber,
  onFold,
}: {
  row: ShownRow;
  y: number;
  drawing: Drawing;
  isMarked: boolean;
  isAt: boolean;
  onNumber: (line: number, isRange: boolean) => void;
  onFold: (line: number) => void;
}) {
  const line = row.line + 1;
  const isFirst = row.part === 0;
  const { pieces } = row;
  const { digits, times, zone } = drawing;
  return (
    <div
      className={`log-row absolute top-0 left-0 flex w-max min-w-full whitespace-pre ${isMarked ? "log-marked" : ""} ${isAt ? "log-row-at" : ""}`}
      data-line={line}
      data-stream={row.stream}
      style={{ height: ROW_PX, transform: `translateY(${y}px)` }}
    >
      {digits > 0 ? (
        // Outside of the order of the Tab key: a log has a million of them. By keyboard it is `g` and `y`.
        <button
          type="button"
          tabIndex={-1}
          className="shrink-0 pr-3 text-right text-muted select-none hover:text-accent hover:underline"
          style={{ width: `calc(${digits}ch + 24px)` }}
          aria-label={`Link to line ${line}`}
          aria-hidden={!isFirst || undefined}
          onClick={(event) => onNumber(line, event.shiftKey)}
        >
          {isFirst ? line : ""}
        </button>
      ) : (
        <span className="w-4 shrink-0" />
      )}
      {times !== "off" ? (
        <span
          className="shrink-0 text-muted select-none"
          style={{ width: "14ch" }}
          title={isFirst && row.time ? exactly(new Date(row.time), zone) : undefined}
        >
          {isFirst ? timeText(row.time, drawing) : ""}
        </span>
      ) : null}
      {row.group && isFirst ? (
        <button
          type="button"
          tabIndex={-1}
          className="pr-4 font-semibold"
          aria-expanded={!row.group.isFolded}
          onClick={() => onFold(row.line)}
        >
          <span aria-hidden="true">{row.group.isFolded ? "▸ " : "▾ "}</span>
          <Pieces pieces={pieces} />
          <span className="font-normal text-muted">
            {row.group.isFolded ? `  ${row.group.lines} ${row.group.lines === 1 ? "line" : "lines"}` : ""}
          </span>
        </button>
      ) : (
        <span className="log-text pr-4">
          <Pieces pieces={pieces} />
        </span>
      )}
      {row.stream === 1 && isFirst ? <span className="visually-hidden"> (standard error)</span> : null}
    </div>
  );
});

function Pieces({ pieces }: { pieces: readonly Drawn[] }) {
  return pieces.map(({ text, className, style, href }, index) => {
    if (href) {
      return (
        <a
          key={index}
          className={className}
          style={style}
          href={href}
          target="_blank"
          rel="noopener noreferrer nofollow"
        >
          {text}
        </a>
      );
    }
    if (!className && !style) return text;
    return (
      <span key={index} className={className} style={style}>
        {text}
      </span>
    );
  });
}
