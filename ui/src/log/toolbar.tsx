import type { ReactNode, RefObject } from "react";
import { count } from "~/lib/numbers";
import { Icon } from "~/parts/icons";
import { STREAMS } from "./lines";
import type { LogState } from "./protocol";
import { TIMES, type Times } from "./rows";
import type { Search } from "./use-search";

/** A button that is on or off. */
export function Toggle({
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

/** The field that is searched with, how much it found, and the way through it. */
export function SearchBox({ search, field }: { search: Search; field: RefObject<HTMLInputElement | null> }) {
  const { query, setQuery, mistake, at, isDone, go } = search;
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
    <search className="flex min-w-0 flex-wrap items-center gap-1" aria-label="The log">
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
      <span role="status" className={`max-w-72 wrap-anywhere ${mistake ? "text-fail" : ""}`}>
        {words}
      </span>
    </search>
  );
}

/** Which streams are to be seen; offered where there is more than one. */
export function StreamFilter({
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

/** How times are shown. */
export function TimesChoice({ times, onChange }: { times: Times; onChange: (times: Times) => void }) {
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

/** What the test wants to be seen: errors, warnings and notices, with the way to their lines. */
export function Annotations({ state, onLine }: { state: LogState; onLine: (line: number) => void }) {
  const { annotations, totals } = state;
  if (annotations.length === 0) return null;
  const all = totals.error + totals.warning + totals.notice;
  const words = (["error", "warning", "notice"] as const)
    .filter((level) => totals[level] > 0)
    .map((level) => `${count(totals[level])} ${level}${totals[level] === 1 ? "" : "s"}`)
    .join(", ");
  return (
    <details className="border-b text-sm">
      <summary className="min-h-8 px-3.5 py-1.5">{words}</summary>
      <ul className="max-h-52 overflow-y-auto pb-1">
        {annotations.map((each) => (
          <li key={each.line}>
            <button
              type="button"
              className="flex min-h-7 w-full items-baseline gap-2 px-3.5 py-0.5 text-left hover:bg-sunken"
              onClick={() => onLine(each.line)}
            >
              <span className={`shrink-0 font-medium ${TONES[each.level]}`}>{each.level}</span>
              <span className="min-w-0 flex-1 wrap-anywhere whitespace-pre-wrap">{each.message}</span>
              <span className="shrink-0 text-muted">
                {each.at ? `${each.at} · ` : ""}line {count(each.line + 1)}
              </span>
            </button>
          </li>
        ))}
      </ul>
      {all > annotations.length ? (
        <p className="px-3.5 pb-2 text-muted">
          and {count(all - annotations.length)} more; the first {annotations.length} are listed
        </p>
      ) : null}
    </details>
  );
}

const TONES = { error: "text-fail", warning: "text-warn", notice: "text-accent" };
