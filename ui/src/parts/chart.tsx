import { useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { shownTheme, useZone } from "~/app/settings";
import { useStore } from "~/lib/store";
import { clock, dateTime, zoneLabel } from "~/lib/time";

/** A line, band or set of points of a chart. */
export interface Series {
  name: string;
  /** A variable of the theme, such as `--accent`: a canvas cannot read CSS, so it is looked up when the theme changes. */
  color: string;
  values: (number | null)[];
  look: "line" | "points";
}

/** A chart over time. Loaded lazily: uPlot is half as large as everything else of a page. */
export interface ChartProps {
  label: string;
  /** Seconds since 1970. */
  times: number[];
  series: Series[];
  /** Writes a value of the y axis. */
  format: (value: number) => string;
  height?: number;
  /** Shift and drag chose a range; in seconds since 1970. */
  onZoom?: (from: number, to: number) => void;
  /** A click at a point. */
  onPick?: (index: number) => void;
}

/** Draws a chart on a canvas. What it shows must also stand beside it as text: no screen reader sees a canvas. */
export function Chart({ label, times, series, format, height = 180, onZoom, onPick }: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const theme = useStore(shownTheme);
  const zone = useZone();
  const calls = useRef({ onZoom, onPick });
  calls.current = { onZoom, onPick };

  // biome-ignore lint/correctness/useExhaustiveDependencies: the theme changes what the variables say
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const css = getComputedStyle(document.documentElement);
    const color = (name: string) => css.getPropertyValue(name).trim();
    const axis: uPlot.Axis = {
      stroke: color("--muted"),
      grid: { stroke: color("--line"), width: 1 },
      ticks: { show: false },
      font: "11px system-ui, sans-serif",
    };
    const span = (times.at(-1) ?? 0) - (times[0] ?? 0);
    const options: uPlot.Options = {
      width: element.clientWidth,
      height,
      cursor: {
        y: false,
        points: { size: 6 },
        drag: { x: true, y: false, setScale: false },
        bind: { mousedown: withShift },
      },
      legend: { show: true, live: true },
      scales: { x: { time: true }, y: { range: (_, __, max) => [0, max > 0 ? max * 1.08 : 1] } },
      axes: [
        {
          ...axis,
          space: 70,
          values: (_, marks) =>
            marks.map((mark) => {
              const at = new Date(mark * 1_000);
              return span > 3 * 86_400 ? dateTime(at, zone).slice(5, 10) : clock(at, zone).slice(0, 5);
            }),
        },
        { ...axis, size: 62, values: (_, marks) => marks.map((mark) => (mark === null ? "" : format(mark))) },
      ],
      series: [
        {
          label: "Time",
          value: (_, at) =>
            at === null
              ? "–"
              : `${dateTime(new Date(at * 1_000), zone)} ${zoneLabel(new Date(at * 1_000), zone)}`,
        },
        ...series.map(
          (each, index): uPlot.Series => ({
            label: each.name,
            stroke: color(each.color),
            width: each.look === "points" ? 0 : 1.5,
            points:
              each.look === "points" ? { show: true, size: 5, fill: color(each.color) } : { show: false },
            value: (_, __, ___, at) => {
              const value = at === null ? null : (series[index]?.values[at] ?? null);
              return value === null ? "–" : format(value);
            },
          }),
        ),
      ],
      hooks: {
        setSelect: [
          (plot) => {
            const from = plot.posToVal(plot.select.left, "x");
            const to = plot.posToVal(plot.select.left + plot.select.width, "x");
            if (plot.select.width > 4) calls.current.onZoom?.(from, to);
            plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          },
        ],
      },
    };
    const plot = new uPlot(options, [times, ...series.map((each) => each.values)], element);
    const onClick = () => {
      if (plot.cursor.idx !== null && plot.cursor.idx !== undefined) calls.current.onPick?.(plot.cursor.idx);
    };
    plot.over.addEventListener("click", onClick);
    const watch = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height }));
    watch.observe(element);
    return () => {
      watch.disconnect();
      plot.destroy();
    };
  }, [times, series, format, height, theme, zone]);

  return <div ref={box} role="img" aria-label={label} className="chart min-w-0 text-xs" />;
}

/** Only shift and drag choose a range: a plain drag is how a touch screen scrolls. */
function withShift(_: uPlot, __: HTMLElement, handler: (event: MouseEvent) => void) {
  return (event: MouseEvent) => {
    if (event.shiftKey) handler(event);
    return null;
  };
}
