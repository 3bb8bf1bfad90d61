import type { ReactNode } from "react";
import { TIMES, type Times } from "./rows";

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
