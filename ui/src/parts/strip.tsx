import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { type KeyboardEvent, type MouseEvent, type ReactNode, useRef, useState } from "react";
import { api } from "~/api/client";
import { labelPairs } from "~/lib/matrix";
import { barAt, barText, type End, ends, runBehind, STRIP_RUNS, stripPaths } from "~/lib/strip";
import { duration } from "~/lib/time";
import { Time } from "./time";

const FILL: Record<End, string> = {
  p: "fill-pass opacity-70",
  r: "fill-warn",
  f: "fill-fail",
  e: "fill-error",
  t: "fill-warn",
  c: "fill-idle opacity-60",
};

/** The bars of a strip, the newest at the right, without anything to do with them. */
export function StripBars({
  list,
  step = 4,
  height = 20,
  children,
}: {
  list: End[];
  step?: number;
  height?: number;
  /** Drawn over the bars. */
  children?: ReactNode;
}) {
  const width = STRIP_RUNS * step;
  return (
    <svg width={width} height={height} className="block max-w-full" aria-hidden="true">
      <path d={`M0 ${height - 0.5}h${width}`} className="stroke-line" />
      {stripPaths(list, { step, gap: 1, height }).map(({ end, d }) => (
        <path key={end} d={d} className={FILL[end]} />
      ))}
      {children}
    </svg>
  );
}

/**
 * How the latest runs of a test in a cell ended, the newest at the right. One slider for all bars: arrows move, Enter
 * opens. The link to the chosen run stands outside of it, because a slider may hold nothing that can be focused.
 */
export function Strip({
  ns,
  test,
  cell,
  strip,
  step = 4,
  height = 20,
}: {
  ns: string;
  test: string;
  cell: Record<string, string> | undefined;
  strip: string;
  step?: number;
  height?: number;
}) {
  const list = ends(strip);
  const [chosen, setChosen] = useState<number>();
  const [isOpen, setOpen] = useState(false);
  const navigate = useNavigate();
  const last = list.length - 1;
  const index = chosen === undefined ? last : Math.min(chosen, last);
  const queries = useQueryClient();
  const runs = api.queryOptions("get", "/api/v1/namespaces/{namespace}/runs", {
    params: {
      path: { namespace: ns },
      query: {
        test,
        state: ["finished"],
        page_size: STRIP_RUNS,
        label: labelPairs(cell),
      },
    },
  });
  const { data: run } = useQuery({
    ...runs,
    enabled: isOpen && list.length > 0,
    select: (page) => runBehind(list, index, page.items),
  });

  const box = useRef<HTMLDivElement>(null);
  const open = async (bar: number) => {
    const known = isOpen && bar === index ? run : undefined;
    const page = known ? undefined : await queries.fetchQuery(runs).catch(() => undefined);
    const found = known ?? (page && runBehind(list, bar, page.items));
    // Whoever went elsewhere before the answer came stays there.
    if (found && box.current) void navigate({ to: "/ns/$ns/runs/$run", params: { ns, run: found.id } });
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const to = {
      ArrowLeft: index - 1,
      ArrowDown: index - 1,
      ArrowRight: index + 1,
      ArrowUp: index + 1,
      PageDown: index - 10,
      PageUp: index + 10,
      Home: 0,
      End: last,
    }[event.key];
    if (event.key === "Enter") void open(index);
    if (to === undefined) return;
    event.preventDefault();
    setChosen(Math.max(0, Math.min(last, to)));
    setOpen(true);
  };
  /** Chooses the bar under the pointer. A finger does not move before it taps, so a click looks for itself, too. */
  const choose = (event: MouseEvent<HTMLElement>) => {
    const at = barAt(event.clientX - event.currentTarget.getBoundingClientRect().left, list.length, step);
    if (at !== undefined) {
      setChosen(at);
      setOpen(true);
    }
    return at;
  };

  if (list.length === 0) return <span className="text-sm text-muted">no runs yet</span>;
  const text = barText(list, index);
  return (
    <div
      ref={box}
      className="relative w-max max-w-full"
      onPointerLeave={() => setOpen(false)}
      onBlur={(event) => {
        if (!event.currentTarget.contains(event.relatedTarget)) setOpen(false);
      }}
    >
      <div
        role="slider"
        tabIndex={0}
        aria-label={`Latest runs of ${test}`}
        aria-valuemin={1}
        aria-valuemax={list.length}
        aria-valuenow={index + 1}
        aria-valuetext={text}
        className="cursor-pointer overflow-hidden rounded-sm py-0.5"
        onFocus={() => setOpen(true)}
        onKeyDown={onKeyDown}
        onPointerMove={choose}
        onClick={(event) => {
          const bar = choose(event);
          if (bar !== undefined) void open(bar);
        }}
      >
        <StripBars list={list} step={step} height={height}>
          {isOpen ? (
            <rect
              x={(STRIP_RUNS - list.length + index) * step - 0.5}
              y={0.5}
              width={step}
              height={height - 1}
              className="fill-none stroke-ink"
            />
          ) : null}
        </StripBars>
      </div>
      {isOpen ? (
        <div className="panel absolute top-full right-0 z-20 flex min-h-8 items-center gap-2 px-2.5 text-sm whitespace-nowrap shadow-(--shadow)">
          <span>{text}</span>
          {run ? (
            <>
              {run.started_at && run.finished_at ? (
                <span className="text-muted">
                  {duration(new Date(run.finished_at).getTime() - new Date(run.started_at).getTime())}
                </span>
              ) : null}
              <span className="text-muted">
                <Time at={run.finished_at} />
              </span>
              <Link
                className="link inline-flex min-h-6 items-center"
                to="/ns/$ns/runs/$run"
                params={{ ns, run: run.id }}
              >
                open
              </Link>
            </>
          ) : null}
        </div>
      ) : null}
    </div>
  );
}
