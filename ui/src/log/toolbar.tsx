import { type ReactNode, type Ref, useImperativeHandle, useRef, useState } from "react";
import { useKeys } from "~/app/keys";
import { formatAnchor } from "~/lib/anchor";
import { bytes, count } from "~/lib/numbers";
import { zoneLabel } from "~/lib/time";
import { copyText } from "~/parts/basics";
import { Icon } from "~/parts/icons";
import { done, failed } from "~/parts/toast";
import { type LogState, STREAMS } from "./protocol";
import { TIMES, type Times, timesChoice, wrapChoice } from "./rows";
import { type Searching, useSearch } from "./use-search";

/** What the controls above a log need of it. */
export interface ToolbarProps extends Searching {
  state: LogState;
  attempt: number;
  isLive: boolean;
  /** Whether the numbers and times of lines are known. */
  isWhole: boolean;
  anchor: { from: number; to: number } | undefined;
  times: Times;
  zone: string;
  isWrapped: boolean;
  onStreams: (streams: number) => void;
  areFolded: boolean;
  onFoldAll: () => void;
  isFollowed: boolean;
  onFollow: () => void;
  /** Brings the first error behind a line into sight, and says which line that is. */
  onError: (line: number) => Promise<number | undefined>;
  /** Asks for the number of a line. */
  onGoTo: () => void;
}

/** The controls above a log, and its shortcuts. */
export function Toolbar(props: ToolbarProps) {
  const { state, streams, times, zone, isWrapped, isWhole, isFollowed, onFollow, onGoTo } = props;
  const search = useRef<SearchHandle>(null);
  const [erred, setErred] = useState<number>();
  const wrap = () => wrapChoice.set(isWrapped ? "off" : "on");
  const nextTimes = () => timesChoice.set(TIMES[(TIMES.indexOf(times) + 1) % TIMES.length] ?? "off");
  const copyLink = async () => {
    if (!isWhole) return failed("No link was copied", new Error("The numbers of these lines are not known."));
    const top = props.topLine() + 1;
    const lines = formatAnchor(props.anchor ?? { from: top, to: top });
    const url = new URL(location.href);
    url.searchParams.set("attempt", String(props.attempt));
    url.hash = lines;
    if (await copyText(url.href)) done(`The link to ${lines} is copied`);
    else failed("The link was not copied", new Error(url.href));
  };
  const nextError = async () => {
    const line = await props.onError(erred ?? props.topLine() - 1);
    if (line === undefined) done("This log has no ::error:: lines");
    else setErred(line);
  };
  useKeys([
    { keys: "/", says: "search the log", run: () => search.current?.focus() },
    { keys: "n", says: "next match", run: () => search.current?.go(1) },
    { keys: "N", says: "previous match", run: () => search.current?.go(-1) },
    { keys: "e", says: "next error of the log", run: () => void nextError() },
    ...(isWhole ? [{ keys: "g", says: "go to a line of the log", run: onGoTo }] : []),
    { keys: "f", says: "follow the log", run: onFollow },
    { keys: "t", says: "times of lines: off, since start, of day", run: nextTimes },
    { keys: "w", says: "wrap lines", run: wrap },
    { keys: "y", says: "copy a link to the line", run: () => void copyLink() },
  ]);
  return (
    <div className="flex min-h-10 flex-wrap items-center gap-x-2 gap-y-1 border-b px-3.5 py-1">
      <SearchBox {...props} handle={search} onCopyLink={() => void copyLink()} />
      <span className="text-muted">
        {streams !== 0b111 ? `${count(state.shown)} of ` : ""}
        {count(state.lines)} lines
        {state.phase === "loading" ? `, ${bytes(state.bytes)} read…` : ""}
      </span>
      <span className="ml-auto flex flex-wrap items-center gap-1">
        <StreamFilter state={state} streams={streams} onChange={props.onStreams} />
        {state.groups > 0 ? (
          <button type="button" className="btn px-2" onClick={props.onFoldAll}>
            {props.areFolded ? "Unfold all" : "Fold all"}
          </button>
        ) : null}
        {isWhole ? <TimesChoice times={times} onChange={timesChoice.set} /> : null}
        {times === "absolute" && state.startedAt ? (
          <span className="text-muted">{zoneLabel(new Date(state.startedAt), zone)}</span>
        ) : null}
        <Toggle on={isWrapped} onClick={wrap} title="Wrap lines (w)">
          Wrap
        </Toggle>
        {props.isLive ? (
          <Toggle on={isFollowed} onClick={onFollow} title="Follow the log (f)">
            {isFollowed ? "Following" : "Follow"}
          </Toggle>
        ) : null}
      </span>
    </div>
  );
}

/** A button that is on or off. */
function Toggle({
  on,
  onClick,
  label,
  title,
  children,
}: {
  on: boolean;
  onClick: () => void;
  label?: string;
  title?: string;
  children: ReactNode;
}) {
  return (
    <button
      type="button"
      aria-pressed={on}
      aria-label={label}
      title={title}
      onClick={onClick}
      className={`btn min-w-8 px-2 ${on ? "border-accent bg-accent-soft text-accent" : ""}`}
    >
      {children}
    </button>
  );
}

/** How times are shown. */
function TimesChoice({ times, onChange }: { times: Times; onChange: (times: Times) => void }) {
  return (
    <select
      className="input"
      aria-label="Times"
      title="Times (t)"
      value={times}
      onChange={(event) => onChange(TIMES.find((each) => each === event.target.value) ?? "off")}
    >
      <option value="off">no times</option>
      <option value="relative">time since start</option>
      <option value="absolute">time of day</option>
    </select>
  );
}

/** What shortcuts do with the search. */
interface SearchHandle {
  go: (step: 1 | -1) => void;
  focus: () => void;
}

/** The field that is searched with, how much it found, and the way through it. */
function SearchBox({
  handle,
  isWhole,
  onGoTo,
  onCopyLink,
  ...rest
}: Searching & {
  handle: Ref<SearchHandle>;
  isWhole: boolean;
  onGoTo: () => void;
  onCopyLink: () => void;
}) {
  const search = useSearch(rest);
  const field = useRef<HTMLInputElement>(null);
  const { query, setQuery, mistake, at, isDone, go } = search;
  useImperativeHandle(handle, () => ({
    go,
    focus() {
      field.current?.focus();
      field.current?.select();
    },
  }));
  const words = mistake
    ? mistake
    : query.text === ""
      ? ""
      : search.count === 0
        ? isDone
          ? "nothing found"
          : "searching…"
        : `${at >= 0 ? `${count(at + 1)} of ` : ""}${count(search.count)} ${search.count === 1 ? "line" : "lines"}${isDone ? "" : "…"}`;
  return (
    <div role="search" className="flex min-w-0 flex-wrap items-center gap-1" aria-label="Search in the log">
      <input
        ref={field}
        type="search"
        className="input w-44"
        placeholder="Search the log"
        aria-label="Search the log"
        aria-invalid={mistake ? true : undefined}
        spellCheck={false}
        value={query.text}
        onChange={(event) => setQuery({ ...query, text: event.target.value })}
        onKeyDown={(event) => {
          if (event.key === "Enter") {
            event.preventDefault();
            go(event.shiftKey ? -1 : 1);
          } else if (event.key === "Escape") {
            setQuery({ ...query, text: "" });
            event.currentTarget.blur();
          }
        }}
      />
      <Toggle
        on={query.isCaseSensitive}
        onClick={() => setQuery({ ...query, isCaseSensitive: !query.isCaseSensitive })}
        label="Aa, match case"
        title="Match case"
      >
        Aa
      </Toggle>
      <Toggle
        on={query.isRegex}
        onClick={() => setQuery({ ...query, isRegex: !query.isRegex })}
        label=".*, regular expression"
        title="Regular expression"
      >
        <span className="code">.*</span>
      </Toggle>
      {query.text === "" ? null : (
        <>
          <button
            type="button"
            className="btn btn-icon"
            aria-label="Previous match"
            title="Previous match (N)"
            onClick={() => go(-1)}
          >
            <span className="rotate-180">
              <Icon name="down" size={14} />
            </span>
          </button>
          <button
            type="button"
            className="btn btn-icon"
            aria-label="Next match"
            title="Next match (n)"
            onClick={() => go(1)}
          >
            <Icon name="down" size={14} />
          </button>
        </>
      )}
      {isWhole ? (
        <>
          <button
            type="button"
            className="btn btn-icon"
            aria-label="# go to a line"
            title="Go to a line (g)"
            onClick={onGoTo}
          >
            #
          </button>
          <button
            type="button"
            className="btn btn-icon"
            aria-label="Copy a link to the line"
            title="Copy a link to the line (y)"
            onClick={onCopyLink}
          >
            <Icon name="link" size={14} />
          </button>
        </>
      ) : null}
      <span role="status" className={`max-w-72 wrap-anywhere ${mistake ? "text-fail" : ""}`}>
        {words}
      </span>
    </div>
  );
}

/** Which streams are to be seen; where there is more than one. */
function StreamFilter({
  state,
  streams,
  onChange,
}: {
  state: LogState;
  streams: number;
  onChange: (streams: number) => void;
}) {
  const there = STREAMS.map((name, index) => ({ name, index })).filter(({ index }) => state.perStream[index]);
  if (there.length < 2) return null;
  return (
    <fieldset className="flex items-center gap-1">
      <legend className="visually-hidden">Streams</legend>
      {there.map(({ name, index }) => {
        const isOn = ((streams >> index) & 1) === 1;
        return (
          <Toggle
            key={name}
            on={isOn}
            title={`${count(state.perStream[index]!)} lines`}
            onClick={() => onChange(isOn ? streams & ~(1 << index) : streams | (1 << index))}
          >
            {name}
          </Toggle>
        );
      })}
    </fieldset>
  );
}
