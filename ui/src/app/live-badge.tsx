import { live } from "~/api/live";
import { plural } from "~/lib/numbers";
import { useStore } from "~/lib/store";

const WORDS = {
  live: ["Live", "Changes appear as they happen"],
  reconnecting: ["Reconnecting", "The connection to the server broke; it is being made again"],
  polling: ["Every 15 s", "No stream of events comes through, so this page asks every 15 s"],
  paused: ["Paused", "Nothing on this page changes until updates go on"],
} as const;

const TONES = {
  live: "text-pass",
  reconnecting: "text-warn",
  polling: "text-muted",
  paused: "text-warn",
} as const;

/** How this page is kept up to date, and the switch that holds updates back. */
export function LiveBadge({ onToggle }: { onToggle: () => void }) {
  const { mode, waiting } = useStore(live);
  const [word, says] = WORDS[mode];
  const paused = mode === "paused";
  return (
    <button
      type="button"
      className="btn btn-quiet"
      aria-pressed={paused}
      aria-label={`Updates: ${word}${waiting ? `, ${plural(waiting, "change")} waiting` : ""}. ${paused ? "Go on" : "Pause"}`}
      title={`${says}. Press r to ${paused ? "go on" : "pause"}.`}
      onClick={onToggle}
    >
      <svg viewBox="0 0 10 10" width="9" height="9" aria-hidden="true" className={TONES[mode]}>
        {paused ? (
          <path d="M1 0h3v10H1zM6 0h3v10H6z" fill="currentColor" />
        ) : mode === "live" ? (
          <circle cx="5" cy="5" r="4.5" fill="currentColor" />
        ) : (
          <circle
            cx="5"
            cy="5"
            r="3.8"
            fill="none"
            stroke="currentColor"
            strokeWidth="1.6"
            strokeDasharray="3 2"
          />
        )}
      </svg>
      <span className="max-sm:hidden">{word}</span>
      {waiting > 0 ? <span className="chip">{plural(waiting, "change")}</span> : null}
    </button>
  );
}
