import { useNavigate } from "@tanstack/react-router";
import { type KeyboardEvent, type MouseEvent, useState } from "react";
import type { Schema } from "~/api/client";
import { useNs } from "~/app/namespace";
import { badness, type Day, weeks } from "~/lib/heatmap";
import { plural } from "~/lib/numbers";
import { justBefore } from "~/lib/time";

const STEP = 15;
const SIZE = 12;
const LEFT = 30;
const TOP = 16;

/** Colours go with sizes: a worse day is a larger square, so that the calendar reads without colours, too. */
const LOOKS: Record<ReturnType<typeof badness>, { className: string; size: number }> = {
  [-1]: { className: "fill-idle-soft", size: 4 },
  0: { className: "fill-pass opacity-55", size: 8 },
  1: { className: "fill-warn opacity-70", size: 9 },
  2: { className: "fill-fail opacity-60", size: 10 },
  3: { className: "fill-fail opacity-85", size: 11 },
  4: { className: "fill-fail", size: 12 },
};

function dayText(day: Day | undefined): string {
  if (!day) return "no such day";
  if (day.runs === 0) return `${day.date}: no runs`;
  return `${day.date}: ${plural(day.runs, "run")}, ${day.bad === 0 ? "all passed" : `${day.bad} did not pass`}${day.flaky ? `, ${day.flaky} on retry` : ""}`;
}

/** A calendar of 26 weeks. One slider, like the strip: arrows move over days and weeks, Enter lists the runs of a day. */
export function Heatmap({ intervals, test }: { intervals: Schema["SummaryInterval"][]; test: string }) {
  const ns = useNs();
  const navigate = useNavigate();
  const grid = weeks(intervals);
  const days = grid.flatMap((week, w) => week.map((day, d) => ({ day, w, d }))).filter((each) => each.day);
  const [chosen, setChosen] = useState<number>();
  const index = Math.min(chosen ?? days.length - 1, days.length - 1);
  const at = days[index];
  const open = (day: Day | undefined) => {
    if (!day) return;
    const { date } = day;
    const after = `${date}T00:00:00Z`;
    const before = new Date(Date.parse(after) + 86_400_000).toISOString();
    void navigate({ to: "/ns/$ns/runs", params: { ns }, search: { test, after: justBefore(after), before } });
  };
  /** Chooses the day under the pointer. A finger does not move before it taps, so a click looks for itself, too. */
  const choose = (event: MouseEvent<HTMLElement>) => {
    const box = event.currentTarget.getBoundingClientRect();
    const w = Math.floor((event.clientX - box.left - LEFT) / STEP);
    const d = Math.floor((event.clientY - box.top - TOP) / STEP);
    const found = days.findIndex((each) => each.w === w && each.d === d);
    if (found >= 0) setChosen(found);
    return days[found]?.day;
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const to = {
      ArrowUp: index - 1,
      ArrowDown: index + 1,
      ArrowLeft: index - 7,
      ArrowRight: index + 7,
      Home: 0,
      End: days.length - 1,
    }[event.key];
    if (event.key === "Enter") open(at?.day);
    if (to === undefined) return;
    event.preventDefault();
    setChosen(Math.max(0, Math.min(days.length - 1, to)));
  };
  const months = grid
    .map((week, w) => ({ w, date: week.find((day) => day)?.date ?? "" }))
    .filter(({ date, w }, i, all) => i === 0 || date.slice(5, 7) !== all[w - 1]?.date.slice(5, 7))
    // The name of a month that has only just begun would run into the next one.
    .filter(({ w }, i, all) => i === 0 || w - (all[i - 1]?.w ?? 0) > 1 || i > 1);
  return (
    <div>
      <div className="overflow-x-auto">
        <div
          role="slider"
          tabIndex={0}
          aria-label="Days of the last 26 weeks"
          aria-valuemin={1}
          aria-valuemax={days.length}
          aria-valuenow={index + 1}
          aria-valuetext={dayText(at?.day)}
          className="w-max cursor-pointer rounded p-0.5"
          onKeyDown={onKeyDown}
          onClick={(event) => open(choose(event))}
          onPointerMove={choose}
        >
          <svg width={LEFT + grid.length * STEP} height={TOP + 7 * STEP} aria-hidden="true" className="block">
            {months.map(({ w, date }) => (
              <text key={w} x={LEFT + w * STEP} y={10} className="fill-muted text-[10px]">
                {MONTHS[Number(date.slice(5, 7)) - 1]}
              </text>
            ))}
            {["Mon", "Wed", "Fri"].map((name, i) => (
              <text key={name} x={0} y={TOP + i * 2 * STEP + 10} className="fill-muted text-[10px]">
                {name}
              </text>
            ))}
            {days.map(({ day, w, d }, i) => {
              const look = LOOKS[badness(day)];
              const inset = (SIZE - look.size) / 2;
              return (
                <g key={day?.date}>
                  <rect
                    x={LEFT + w * STEP + inset}
                    y={TOP + d * STEP + inset}
                    width={look.size}
                    height={look.size}
                    rx={2}
                    className={look.className}
                  />
                  {i === index && chosen !== undefined ? (
                    <rect
                      x={LEFT + w * STEP - 1}
                      y={TOP + d * STEP - 1}
                      width={SIZE + 2}
                      height={SIZE + 2}
                      rx={3}
                      className="fill-none stroke-ink"
                    />
                  ) : null}
                </g>
              );
            })}
          </svg>
        </div>
      </div>
      <p className="mt-1 min-h-6 text-sm text-muted">
        {dayText(at?.day)}
        {at?.day && at.day.runs > 0 ? (
          <button type="button" className="link ml-2 min-h-6" onClick={() => open(at?.day)}>
            list them
          </button>
        ) : null}
      </p>
    </div>
  );
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
