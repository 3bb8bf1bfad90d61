import { type FormEvent, useEffect, useId, useRef, useState } from "react";
import { Icon } from "./icons";

/** A search field whose text is in the address; it is written there when typing rests, without a step of the history. */
export function SearchField({
  value,
  onSearch,
  label,
  suggest,
}: {
  value: string | undefined;
  onSearch: (text: string | undefined) => void;
  label: string;
  /** What could be meant by what is typed, for a field that wants something whole. */
  suggest?: (typed: string) => string[];
}) {
  const listId = useId();
  const [typed, setTyped] = useState(value ?? "");
  const sent = useRef(value ?? "");
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  // What was typed is for this page: once it is left, nothing may lead back to it.
  useEffect(() => () => clearTimeout(timer.current), []);
  // Back and forward change the address without the field; what was just typed must not be taken back, though.
  useEffect(() => {
    if ((value ?? "") === sent.current) return;
    clearTimeout(timer.current);
    sent.current = value ?? "";
    setTyped(value ?? "");
  }, [value]);
  const send = (text: string) => {
    clearTimeout(timer.current);
    sent.current = text.trim();
    onSearch(text.trim() || undefined);
  };
  return (
    <form
      role="search"
      className="relative min-w-40 flex-1 basis-48 sm:max-w-80"
      onSubmit={(event: FormEvent) => {
        event.preventDefault();
        send(typed);
      }}
    >
      <span className="pointer-events-none absolute top-2 left-2.5 text-muted">
        <Icon name="search" size={14} />
      </span>
      <input
        type="search"
        className="input w-full pl-8"
        aria-label={label}
        placeholder={label}
        value={typed}
        list={suggest ? listId : undefined}
        onChange={(event) => {
          const text = event.target.value;
          setTyped(text);
          clearTimeout(timer.current);
          timer.current = setTimeout(() => send(text), 250);
        }}
      />
      {suggest ? (
        <datalist id={listId}>
          {suggest(typed).map((each) => (
            <option key={each} value={each} />
          ))}
        </datalist>
      ) : null}
    </form>
  );
}

/** Choices that can be on together, as buttons that stay pressed. */
export function Toggles<T extends string>({
  label,
  options,
  chosen,
  onChange,
}: {
  label: string;
  options: readonly { value: T; name: React.ReactNode }[];
  chosen: readonly T[] | undefined;
  onChange: (chosen: T[] | undefined) => void;
}) {
  const on = new Set(chosen);
  return (
    <fieldset className="flex flex-wrap gap-1">
      <legend className="visually-hidden">{label}</legend>
      {options.map(({ value, name }) => (
        <button
          key={value}
          type="button"
          aria-pressed={on.has(value)}
          className={`btn px-2 ${on.has(value) ? "border-accent bg-accent-soft" : ""}`}
          onClick={() => {
            const next = options
              .map((each) => each.value)
              .filter((each) => (each === value) !== on.has(each));
            onChange(next.length > 0 ? next : undefined);
          }}
        >
          {name}
        </button>
      ))}
    </fieldset>
  );
}

/** Labels that a list is filtered by: typed as `key=value`, taken away one by one. */
export function LabelFilter({
  labels,
  onChange,
}: {
  labels: string[] | undefined;
  onChange: (labels: string[] | undefined) => void;
}) {
  const id = useId();
  const [typed, setTyped] = useState("");
  const [wrong, setWrong] = useState(false);
  const list = labels ?? [];
  const add = (event: FormEvent) => {
    event.preventDefault();
    const label = typed.trim();
    if (!/^[^=\s]+=.*$/.test(label)) {
      setWrong(label !== "");
      return;
    }
    setWrong(false);
    setTyped("");
    if (!list.includes(label)) onChange([...list, label]);
  };
  return (
    <div className="flex flex-wrap items-center gap-1.5">
      <form onSubmit={add}>
        <input
          className="input w-36"
          aria-label="Label, as key=value"
          aria-invalid={wrong || undefined}
          aria-describedby={wrong ? id : undefined}
          placeholder="label: key=value"
          value={typed}
          onChange={(event) => setTyped(event.target.value)}
        />
      </form>
      {list.map((label) => (
        <button
          key={label}
          type="button"
          className="chip min-h-6"
          onClick={() => {
            const rest = list.filter((each) => each !== label);
            onChange(rest.length > 0 ? rest : undefined);
          }}
          aria-label={`Remove the filter ${label}`}
        >
          {label} <Icon name="close" size={10} />
        </button>
      ))}
      {wrong ? (
        <span id={id} role="alert" className="text-xs text-fail">
          write key=value
        </span>
      ) : null}
    </div>
  );
}
