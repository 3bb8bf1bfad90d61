import { type Ref, useImperativeHandle, useRef } from "react";
import { count } from "~/lib/numbers";
import { Icon } from "~/parts/icons";
import { Toggle } from "./toolbar";
import { type Searching, useSearch } from "./use-search";

/** What shortcuts do with the search. */
export interface SearchHandle {
  go: (step: 1 | -1) => void;
  focus: () => void;
}

/** The field that is searched with, how much it found, and the way through it. */
export function SearchBox({ handle, ...rest }: Searching & { handle: Ref<SearchHandle> }) {
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
