import { type KeyboardEvent, type MouseEvent, useEffect, useMemo, useRef, useState } from "react";
import { useZone } from "~/app/settings";
import { durationTicks, nearest, timeTicks } from "~/lib/ticks";
import { clock, dateTime, duration, zoneLabel } from "~/lib/time";

/** A line or a set of points of a chart. */
export interface Series {
  name: string;
  tone: "accent" | "pass" | "fail" | "warn";
  /** A value at each time; `null` where there is none. */
  values: (number | null)[];
  look: "line" | "points";
}

const STROKE = {
  accent: "stroke-accent",
  pass: "stroke-pass",
  fail: "stroke-fail",
  warn: "stroke-warn",
} as const;
const FILL = { accent: "fill-accent", pass: "fill-pass", fail: "fill-fail", warn: "fill-warn" } as const;
const LEFT = 62;
const RIGHT = 8;
/** How much at the sides of a chart is none of its time. */
export const CHART_INSET = { left: LEFT, right: RIGHT } as const;
const BOTTOM = 20;
const TOP = 6;
const DAY = 86_400_000;

/**
 * Durations over time. Some hundred points are drawn as SVG, which follows the theme by itself and which checks of
 * accessibility can see; a canvas does neither. One slider: arrows move over the points, Enter opens.
 */
export function Chart({
  label,
  times,
  series,
  height = 190,
  marks = [],
  format = duration,
  ticks = durationTicks,
  onPick,
}: {
  label: string;
  /** Milliseconds since 1970, the earliest first. */
  times: number[];
  series: Series[];
  height?: number;
  /** Instants at which something changed, with a word for it. */
  marks?: { at: number; text: string }[];
  /** Writes a value; durations in milliseconds unless said. */
  format?: (value: number) => string;
  /** Chooses the marks of the value axis. */
  ticks?: (max: number) => number[];
  onPick?: (index: number) => void;
}) {
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  const [chosen, setChosen] = useState<number>();
  const zone = useZone();
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const watch = new ResizeObserver(() => setWidth(element.clientWidth));
    watch.observe(element);
    return () => watch.disconnect();
  }, []);

  const from = times[0] ?? 0;
  const to = times.at(-1) ?? 0;
  const max = useMemo(
    () => Math.max(1e-9, ...series.flatMap((each) => each.values.map((value) => value ?? 0))) * 1.06,
    [series],
  );
  const right = Math.max(LEFT + 1, width - RIGHT);
  const floor = height - BOTTOM;
  const x = (time: number) =>
    to > from ? LEFT + ((time - from) / (to - from)) * (right - LEFT) : (LEFT + right) / 2;
  const min = useMemo(
    () => Math.min(0, ...series.flatMap((each) => each.values.map((value) => value ?? 0))),
    [series],
  );
  const y = (value: number) => floor - ((value - min) / (max - min)) * (floor - TOP);
  const last = times.length - 1;
  const index = Math.min(chosen ?? last, last);

  const onKeyDown = (event: KeyboardEvent) => {
    const next = {
      ArrowLeft: index - 1,
      ArrowDown: index - 1,
      ArrowRight: index + 1,
      ArrowUp: index + 1,
      PageDown: index - 10,
      PageUp: index + 10,
      Home: 0,
      End: last,
    }[event.key];
    if (event.key === "Enter") onPick?.(index);
    if (next === undefined) return;
    event.preventDefault();
    setChosen(Math.max(0, Math.min(last, next)));
  };
  /** Chooses the point under the pointer. A finger does not move before it taps, so a click looks for itself, too. */
  const choose = (event: MouseEvent<HTMLElement>) => {
    const px = event.clientX - event.currentTarget.getBoundingClientRect().left;
    const found = nearest(times, from + ((px - LEFT) / (right - LEFT)) * (to - from));
    setChosen(found);
    return found;
  };
  const at = times[index] ?? 0;
  const when = `${dateTime(new Date(at), zone).slice(0, 16)} ${zoneLabel(new Date(at), zone)}`;
  const said = series.flatMap((each) => {
    const value = each.values[index];
    return value === null || value === undefined ? [] : [{ name: each.name, text: format(value) }];
  });
  return (
    <div>
      <div
        ref={box}
        role="slider"
        tabIndex={0}
        aria-label={label}
        aria-valuemin={1}
        aria-valuemax={Math.max(1, times.length)}
        aria-valuenow={index + 1}
        aria-valuetext={`${when}: ${said.map((each) => `${each.name} ${each.text}`).join(", ") || "nothing"}`}
        className={`rounded ${onPick ? "cursor-pointer" : ""}`}
        style={{ height }}
        onKeyDown={onKeyDown}
        onClick={(event) => onPick?.(choose(event))}
        onPointerMove={choose}
      >
        {width > 0 ? (
          <svg width={width} height={height} className="block" aria-hidden="true">
            {ticks(max).map((value) => (
              <g key={value}>
                <path d={`M${LEFT} ${y(value) + 0.5}H${right}`} className="stroke-line" />
                <text x={LEFT - 8} y={y(value) + 4} textAnchor="end" className="fill-muted text-[11px]">
                  {value === 0 ? "0" : format(value)}
                </text>
              </g>
            ))}
            {timeTicks(from, to, Math.max(2, Math.floor(width / 110))).map((time) => (
              <text
                key={time}
                x={x(time)}
                y={height - 5}
                // At the edge there is no room on both sides.
                textAnchor={x(time) > right - 14 ? "end" : "middle"}
                className="fill-muted text-[11px]"
              >
                {to - from > 3 * DAY
                  ? dateTime(new Date(time), zone).slice(5, 10)
                  : clock(new Date(time), zone).slice(0, 5)}
              </text>
            ))}
            {marks
              .filter((mark) => mark.at >= from && mark.at <= to)
              .map((mark) => (
                <g key={mark.at}>
                  <path d={`M${x(mark.at)} ${TOP}V${floor}`} className="stroke-muted" strokeDasharray="2 3" />
                  <text x={x(mark.at) + 3} y={TOP + 8} className="fill-muted text-[10px]">
                    {mark.text}
                  </text>
                </g>
              ))}
            {chosen === undefined ? null : <path d={`M${x(at)} ${TOP}V${floor}`} className="stroke-edge" />}
            {series.map((each) =>
              each.look === "line" ? (
                <path
                  key={each.name}
                  d={linePath(each.values, times, x, y)}
                  className={`fill-none ${STROKE[each.tone]}`}
                  strokeWidth={1.5}
                  strokeLinejoin="round"
                  strokeLinecap="round"
                />
              ) : (
                <path key={each.name} d={pointsPath(each, times, x, y)} className={FILL[each.tone]} />
              ),
            )}
          </svg>
        ) : null}
      </div>
      <p className="mt-1 flex min-h-5 flex-wrap gap-x-4 text-xs text-muted">
        {series.map((each) => (
          <span key={each.name} className="inline-flex items-center gap-1.5">
            <svg viewBox="0 0 10 10" width="10" height="10" aria-hidden="true">
              {each.look === "line" ? (
                <path d="M0 5h10" className={STROKE[each.tone]} strokeWidth="2" />
              ) : (
                <path
                  d={each.tone === "fail" ? "M1 1h8v8H1z" : "M5 1a4 4 0 1 0 .01 0z"}
                  className={FILL[each.tone]}
                />
              )}
            </svg>
            {each.name}
          </span>
        ))}
        {chosen === undefined ? null : (
          <span className="text-ink">
            {when}
            {said.map((each) => `, ${each.name.toLowerCase()} ${each.text}`).join("")}
          </span>
        )}
      </p>
    </div>
  );
}

type Scale = (value: number) => number;

/** A line with gaps where there is no value; a value between two gaps is a ring. */
function linePath(values: (number | null)[], times: number[], x: Scale, y: Scale): string {
  let path = "";
  let isOpen = false;
  values.forEach((value, index) => {
    if (value === null) {
      isOpen = false;
      return;
    }
    const point = `${x(times[index] ?? 0).toFixed(1)} ${y(value).toFixed(1)}`;
    const isAlone = !isOpen && (values[index + 1] ?? null) === null;
    path += isOpen ? `L${point}` : `M${point}`;
    if (isAlone) path += "m-2 0a2 2 0 1 0 4 0a2 2 0 1 0 -4 0";
    isOpen = true;
  });
  return path;
}

/** Failures are squares, everything else is round: they must be told apart without colours. */
function pointsPath(series: Series, times: number[], x: Scale, y: Scale): string {
  return series.values
    .map((value, index) => {
      if (value === null) return "";
      const px = x(times[index] ?? 0);
      const py = y(value);
      return series.tone === "fail"
        ? `M${(px - 2.6).toFixed(1)} ${(py - 2.6).toFixed(1)}h5.2v5.2h-5.2z`
        : `M${(px - 2.4).toFixed(1)} ${py.toFixed(1)}a2.4 2.4 0 1 0 4.8 0a2.4 2.4 0 1 0 -4.8 0z`;
    })
    .join("");
}
