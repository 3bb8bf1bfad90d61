import { useNavigate } from "@tanstack/react-router";
import { type KeyboardEvent, type MouseEvent, useState } from "react";
import type { Schema } from "~/api/client";
import { useNs } from "~/app/namespace";
import { useZone } from "~/app/settings";
import { count, plural } from "~/lib/numbers";
import { dateTime, justBefore, zoneLabel } from "~/lib/time";

const LENGTHS: Record<Schema["Interval"], number> = {
  hour: 3_600_000,
  day: 86_400_000,
  week: 7 * 86_400_000,
};
const HEIGHT = 132;

/** From the bottom upwards; what went wrong stands on top, where it is seen. */
const PARTS = [
  { key: "pass", className: "bg-pass opacity-65", word: "passed" },
  { key: "cancelled", className: "bg-idle opacity-50", word: "cancelled" },
  { key: "timed_out", className: "bg-warn", word: "timed out" },
  { key: "error", className: "bg-error", word: "error" },
  { key: "fail", className: "bg-fail", word: "failed" },
] as const;

/** How runs ended, interval by interval. One slider: arrows move, Enter lists the runs of the interval. */
export function Bars({
  intervals,
  interval,
}: {
  intervals: Schema["SummaryInterval"][];
  interval: Schema["Interval"];
}) {
  const ns = useNs();
  const zone = useZone();
  const navigate = useNavigate();
  const [chosen, setChosen] = useState<number>();
  const last = intervals.length - 1;
  const index = Math.min(chosen ?? last, last);
  const at = intervals[index];
  const most = Math.max(1, ...intervals.map((each) => each.figures.counts.runs));

  const text = (each: Schema["SummaryInterval"] | undefined) => {
    if (!each) return "";
    const start = new Date(each.start);
    const { counts } = each.figures;
    const bad = PARTS.filter((part) => part.key !== "pass" && counts[part.key] > 0).map(
      (part) => `${count(counts[part.key])} ${part.word}`,
    );
    // Days and weeks are those of UTC; in another zone they would begin within the day before.
    const shownIn = interval === "hour" ? zone : "UTC";
    const when = `${dateTime(start, shownIn).slice(0, interval === "hour" ? 16 : 10)} ${zoneLabel(start, shownIn)}`;
    if (counts.runs === 0) return `${when}: no runs`;
    return `${when}: ${plural(counts.runs, "run")}, ${bad.length > 0 ? bad.join(", ") : "all passed"}`;
  };
  const open = (which: Schema["SummaryInterval"] | undefined) => {
    if (!which) return;
    const before = new Date(Date.parse(which.start) + LENGTHS[interval]).toISOString();
    void navigate({ to: "/ns/$ns/runs", params: { ns }, search: { after: justBefore(which.start), before } });
  };
  /** Chooses the bar under the pointer. A finger does not move before it taps, so a click looks for itself, too. */
  const choose = (event: MouseEvent<HTMLElement>) => {
    const box = event.currentTarget.getBoundingClientRect();
    const found = Math.floor(((event.clientX - box.left) / box.width) * intervals.length);
    if (intervals[found]) setChosen(found);
    return intervals[found];
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const to = { ArrowLeft: index - 1, ArrowRight: index + 1, Home: 0, End: last }[event.key];
    if (event.key === "Enter") open(at);
    if (to === undefined) return;
    event.preventDefault();
    setChosen(Math.max(0, Math.min(last, to)));
  };
  return (
    <div>
      <div
        role="slider"
        tabIndex={0}
        aria-label="Runs over time"
        aria-valuemin={1}
        aria-valuemax={intervals.length}
        aria-valuenow={index + 1}
        aria-valuetext={text(at)}
        className="flex cursor-pointer items-end rounded border-b"
        style={{ height: HEIGHT }}
        onKeyDown={onKeyDown}
        onClick={(event) => open(choose(event))}
        onPointerMove={choose}
      >
        {intervals.map((each, i) => (
          <span
            key={each.start}
            className={`flex h-full min-w-0 flex-1 flex-col-reverse px-px ${i === index && chosen !== undefined ? "bg-sunken" : ""}`}
          >
            {PARTS.map((part) => {
              const n = each.figures.counts[part.key];
              // A single failure among thousands still gets two pixels.
              return n > 0 ? (
                <span
                  key={part.key}
                  className={`block w-full ${part.className}`}
                  style={{ height: Math.max(2, (n / most) * (HEIGHT - 6)) }}
                />
              ) : null;
            })}
          </span>
        ))}
      </div>
      <p className="mt-1 flex min-h-6 flex-wrap items-center gap-x-2 text-sm text-muted">
        {text(at)}
        {at && at.figures.counts.runs > 0 ? (
          <button type="button" className="link min-h-6" onClick={() => open(at)}>
            list them
          </button>
        ) : null}
      </p>
    </div>
  );
}
