import { Suspense, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "react";
import { apiUrl } from "~/api/client";
import { live as liveMode } from "~/api/live";
import { useZone } from "~/app/settings";
import { formatAnchor } from "~/lib/anchor";
import { useStore } from "~/lib/store";
import { lazy } from "~/parts/lazy";
import { LogClient } from "./client";
import "./log.css";
import { Skeleton } from "~/parts/loaded";
import { LIMITS } from "./protocol";
import { type Drawing, LogRow, ROW_PX, TIMES, type Times, timesChoice, wrapChoice } from "./rows";
import { type Align, useScroll } from "./use-scroll";

// What is shown only sometimes, and never at first, is no part of what the page loads at first.
const sometimes = () => import("./sometimes");
const Annotations = lazy(() => sometimes().then((m) => ({ default: m.Annotations })));
const GoTo = lazy(() => sometimes().then((m) => ({ default: m.GoTo })));
const NoLines = lazy(() => sometimes().then((m) => ({ default: m.NoLines })));
// The lines come first; the controls are there a moment later, in the room that is kept for them.
const Toolbar = lazy(() => import("./toolbar").then((m) => ({ default: m.Toolbar })));
const Notices = lazy(() => sometimes().then((m) => ({ default: m.Notices })));

/** What the page of a run hands to the log viewer. Nothing else of the run is known in here. */
export interface LogViewProps {
  /** The run whose log is shown. */
  runId: string;
  /** The attempt; another one starts over. */
  attempt: number;
  /** Bytes may still come: the attempt has not ended, or its log is not sealed yet. */
  live: boolean;
  /** The lines that the address names, counted from 1: shown first and marked. */
  anchor?: { from: number; to: number };
  /** Somebody chose lines: the page writes them into the address as `#L120-L140`. */
  onAnchor?: (anchor: { from: number; to: number } | undefined) => void;
  /** Whether the run failed: then its log opens at the first error, else at its end. */
  failed?: boolean;
  /** How many bytes are stored: of a log that is too large only the end is read. */
  bytes?: number;
}

/** A row that is to be brought into sight, once it is there. */
interface Goal {
  row: number;
  align: Align;
}

/** The log of one attempt: followed while it grows, searched, filtered, and linked to by its lines. */
export function LogView(props: LogViewProps) {
  return <Viewer key={`${props.runId} ${props.attempt}`} {...props} />;
}

function Viewer({ runId, attempt, live, onAnchor, failed: isFailed, bytes = 0, ...props }: LogViewProps) {
  // Decided once: a log that passes the limit while it is read lets its oldest lines go.
  const [skipped] = useState(Math.max(0, bytes - LIMITS.bytes));
  // Where the beginning is not read, nobody knows which line is the 120th: none is better than a wrong one.
  const anchor = skipped > 0 ? undefined : props.anchor;
  const [client] = useState(() => new LogClient({ runId, attempt }, live, skipped || undefined));
  useEffect(() => client.start(), [client]);
  useEffect(() => client.setLive(live), [client, live]);
  useHold(client);
  const state = useStore(client.state);
  const rows = useStore(client.rows);

  const zone = useZone();
  const times = useTimes(skipped > 0);
  const isWrapped = useStore(wrapChoice) === "on";
  const [streams, setStreams] = useState(0b111);
  const [folds, setFolds] = useState<{ isFolded: boolean; others: readonly number[] }>({
    isFolded: false,
    others: [],
  });
  const [follow, setFollow] = useState(live && !anchor);
  const [goal, setGoal] = useState<Goal>();
  const [isAsking, setIsAsking] = useState(false);
  const scroller = useRef<HTMLElement>(null);
  const ruler = useRef<HTMLSpanElement>(null);
  const hasMoved = useRef(false);

  const scroll = useScroll(scroller, state.rows, ({ isUp, isAtEnd }) => {
    hasMoved.current = true;
    if (isUp) setFollow(false);
    else if (isAtEnd && live) setFollow(true);
  });
  const { showRow, from, to } = scroll;

  const digits = skipped > 0 ? 0 : Math.max(3, String(state.lines).length);
  const charPx = useCharWidth(ruler, state.lines > 0);
  const used = (digits > 0 ? digits * charPx + 24 : 16) + (times === "off" ? 0 : 14 * charPx) + 20;
  const columns = isWrapped ? Math.max(20, Math.floor((scroll.width - used) / charPx)) : 0;

  const kept = useRef<number>(undefined);
  kept.current = follow ? undefined : rows.find((row) => row.row >= scroll.topRow)?.line;
  useEffect(() => {
    client.choose({ streams, columns, ...folds });
    // Other rows, but the reader stays at the same line.
    const line = kept.current;
    if (line === undefined) return;
    void client.locate(line).then(({ row }) => {
      if (row !== undefined) setGoal({ row, align: "start" });
    });
  }, [client, streams, columns, folds]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new state may mean other rows at the same place
  useEffect(() => client.want(from, to), [client, from, to, state]);

  const [folding, setFolding] = useState<number>();
  const toggleFold = useCallback((line: number) => {
    setFolds(({ isFolded, others }) => ({
      isFolded,
      others: others.includes(line) ? others.filter((each) => each !== line) : [...others, line],
    }));
  }, []);
  const goTo = useCallback(
    async (line: number, what: "line" | "error" = "line") => {
      const found = await client.locate(line, what);
      if (found.row === undefined) return undefined;
      setFollow(false);
      if (found.fold !== undefined) {
        toggleFold(found.fold);
        setFolding(found.line);
      } else {
        setGoal({ row: found.row, align: "center" });
      }
      return found.line;
    },
    [client, toggleFold],
  );
  // biome-ignore lint/correctness/useExhaustiveDependencies: once the rows are those of the unfolded group
  useEffect(() => {
    if (folding === undefined) return;
    setFolding(undefined);
    void goTo(folding);
  }, [folding, folds]);

  useLayoutEffect(() => {
    if (!goal || goal.row >= state.rows) return;
    showRow(goal.row, goal.align);
    setGoal(undefined);
  }, [goal, state.rows, showRow]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: the end moves with the height of the box, too
  useLayoutEffect(() => {
    if (follow && state.rows > 0) showRow(state.rows - 1, "end");
  }, [follow, state.rows, scroll.viewHeight, showRow]);

  useOpening({ anchor, isLive: live, isFailed: isFailed ?? false, state, hasMoved, goTo, setGoal });

  const topLine = useCallback(
    () => client.rows.get().find((row) => row.row >= scroll.topRow)?.line ?? 0,
    [client, scroll.topRow],
  );
  const [found, setFound] = useState<number>();
  const onShow = useCallback(
    (line: number | undefined) => {
      setFound(line);
      if (line !== undefined) void goTo(line);
    },
    [goTo],
  );

  const chosen = useRef(anchor);
  chosen.current = anchor;
  const onNumber = useCallback(
    (line: number, isRange: boolean) => {
      hasMoved.current = true;
      const before = chosen.current;
      const range =
        isRange && before
          ? { from: Math.min(before.from, line), to: Math.max(before.to, line) }
          : { from: line, to: line };
      // The same line once more takes the mark away.
      const isSame = !isRange && before?.from === line && before.to === line;
      onAnchor?.(isSame ? undefined : range);
    },
    [onAnchor],
  );

  const drawing: Drawing = useMemo(
    () => ({ times, zone, startedAt: state.startedAt, digits }),
    [times, zone, state.startedAt, digits],
  );
  const rawUrl = apiUrl(`/runs/${runId}/logs`, { attempt });
  const isEmpty = state.lines === 0;
  const isMissing = anchor !== undefined && state.phase === "done" && anchor.from > state.lines;
  const missing = skipped > 0 || isMissing ? props.anchor?.from : undefined;
  const hasNotice =
    !isEmpty && (state.error !== undefined || skipped > 0 || state.first > 0 || missing !== undefined);
  return (
    <div className="text-sm">
      <Suspense fallback={<div className="min-h-10 border-b" />}>
        <Toolbar
          client={client}
          state={state}
          attempt={attempt}
          isLive={live}
          isWhole={skipped === 0}
          anchor={anchor}
          times={times}
          zone={zone}
          isWrapped={isWrapped}
          streams={streams}
          onStreams={setStreams}
          areFolded={folds.isFolded}
          onFoldAll={() => setFolds({ isFolded: !folds.isFolded, others: [] })}
          isFollowed={follow}
          onFollow={() => setFollow((on) => !on)}
          topLine={topLine}
          onShow={onShow}
          onError={(line) => goTo(line, "error")}
          onGoTo={() => setIsAsking(true)}
        />
      </Suspense>
      <Suspense>
        {hasNotice ? (
          <Notices
            state={state}
            missing={missing}
            skipped={skipped}
            rawUrl={rawUrl}
            onRetry={() => client.retry()}
          />
        ) : null}
        {state.annotations.length > 0 ? (
          <Annotations state={state} isWhole={skipped === 0} onLine={(line) => void goTo(line)} />
        ) : null}
      </Suspense>
      {isEmpty ? (
        <Suspense fallback={<Skeleton rows={8} />}>
          {state.phase === "loading" && !live ? (
            <Loading />
          ) : (
            <NoLines state={state} onRetry={() => client.retry()} />
          )}
        </Suspense>
      ) : null}
      <section
        ref={scroller}
        // A log by its role; but not read out by itself: scrolling would read all that comes into sight.
        role="log"
        aria-live="off"
        aria-label={`Log, attempt ${attempt}`}
        tabIndex={isEmpty ? -1 : 0}
        className={`log relative overflow-auto ${live ? "h-[65vh]" : "max-h-[65vh]"} ${isEmpty ? "hidden" : ""}`}
      >
        <span ref={ruler} aria-hidden="true" className="invisible absolute">
          {"0".repeat(100)}
        </span>
        <div className="relative" style={{ height: scroll.height }}>
          {rows.map((row) => (
            <LogRow
              key={row.row}
              row={row}
              y={row.row * ROW_PX + scroll.shift}
              drawing={drawing}
              isMarked={anchor !== undefined && row.line + 1 >= anchor.from && row.line + 1 <= anchor.to}
              isAt={found === row.line}
              onNumber={onNumber}
              onFold={toggleFold}
            />
          ))}
        </div>
      </section>
      <Suspense>
        {isAsking ? (
          <GoTo
            last={state.lines}
            onClose={() => setIsAsking(false)}
            onLine={(line) => {
              setIsAsking(false);
              onAnchor?.({ from: line, to: line });
              void goTo(line - 1);
            }}
          />
        ) : null}
      </Suspense>
    </div>
  );
}

function Loading() {
  return (
    <>
      <span className="visually-hidden" role="status">
        Loading the log
      </span>
      <Skeleton rows={8} />
    </>
  );
}

function useTimes(areUnknown: boolean): Times {
  const kept = useStore(timesChoice);
  return areUnknown ? "off" : (TIMES.find((each) => each === kept) ?? "off");
}

/** Updates that are paused hold the log back, too; and a page that nobody sees asks for nothing. */
function useHold(client: LogClient): void {
  const isPaused = useStore(liveMode).mode === "paused";
  useEffect(() => {
    const look = () => client.hold(isPaused || document.visibilityState === "hidden");
    look();
    document.addEventListener("visibilitychange", look);
    return () => document.removeEventListener("visibilitychange", look);
  }, [client, isPaused]);
}

/** How wide a character is. */
function useCharWidth(ruler: { current: HTMLElement | null }, isShown: boolean): number {
  const [px, setPx] = useState(7.5);
  useLayoutEffect(() => {
    const wide = isShown ? (ruler.current?.getBoundingClientRect().width ?? 0) : 0;
    if (wide > 0) setPx(wide / 100);
  }, [ruler, isShown]);
  return px;
}

/** Where a log opens: at the lines of the address; at the first error of a run that failed, or at its end; else at the top. */
function useOpening({
  anchor,
  isLive,
  isFailed,
  state,
  hasMoved,
  goTo,
  setGoal,
}: {
  anchor: { from: number; to: number } | undefined;
  isLive: boolean;
  isFailed: boolean;
  state: { lines: number; rows: number; phase: string; firstError?: number };
  hasMoved: { current: boolean };
  goTo: (line: number) => Promise<number | undefined>;
  setGoal: (goal: Goal) => void;
}): void {
  const shown = useRef<string>(undefined);
  const isDone = state.phase === "done";
  const key = anchor && formatAnchor(anchor);
  // biome-ignore lint/correctness/useExhaustiveDependencies: once for each address, when its lines are there
  useEffect(() => {
    if (anchor) {
      if (shown.current === key || (state.lines < anchor.from && !isDone)) return;
      // Lines that were chosen here are in sight already.
      if (!hasMoved.current || shown.current !== undefined || isElsewhere(anchor.from))
        void goTo(anchor.from - 1);
      shown.current = key;
      return;
    }
    if (shown.current !== undefined || hasMoved.current || isLive || !isFailed) return;
    if (state.firstError !== undefined) {
      shown.current = "error";
      void goTo(state.firstError);
    } else if (isDone && state.rows > 0) {
      shown.current = "end";
      setGoal({ row: state.rows - 1, align: "end" });
    }
  }, [key, state.lines, state.rows, state.firstError, isDone, isLive, isFailed]);
}

/** Whether a line is not among those that are drawn. */
function isElsewhere(line: number): boolean {
  return document.querySelector(`.log-row[data-line="${line}"]`) === null;
}
