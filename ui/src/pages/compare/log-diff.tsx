import type { Schema } from "~/api/client";
import { stripEscapes } from "~/lib/escapes";
import { bytes, count, plural } from "~/lib/numbers";
import { Panel } from "~/parts/basics";

const LOOKS = {
  same: { sign: " ", className: "", word: "" },
  removed: { sign: "−", className: "bg-fail-soft", word: "removed: " },
  added: { sign: "+", className: "bg-pass-soft", word: "added: " },
} as const;

/** The lines of two logs that differ. The server has taken times, ids and the like out before it compared. */
export function LogDiff({ log }: { log: Schema["LogComparison"] }) {
  const skipped = log.before_skipped_bytes + log.after_skipped_bytes;
  return (
    <Panel
      title="Standard output"
      note={`${plural(log.removed, "line")} removed, ${count(log.added)} added, ${count(log.same)} the same; without times, ids and addresses`}
    >
      {log.hunks.length === 0 ? (
        <p className="px-3.5 py-3 text-sm text-muted">The same, line by line.</p>
      ) : (
        <section className="max-h-[70vh] overflow-auto py-1" tabIndex={0} aria-label="Lines that differ">
          <div className="code w-max min-w-full leading-5">
            {log.hunks.map((hunk) => (
              <div key={`${hunk.before_line} ${hunk.after_line}`}>
                <div className="bg-sunken px-4 text-muted">
                  line {hunk.before_line} before, {hunk.after_line} after
                </div>
                {hunk.lines.map((line, index) => (
                  <div key={index} className={`flex px-4 whitespace-pre ${LOOKS[line.change].className}`}>
                    <span className="w-5 shrink-0 text-muted select-none" aria-hidden="true">
                      {LOOKS[line.change].sign}
                    </span>
                    <span className="visually-hidden">{LOOKS[line.change].word}</span>
                    {stripEscapes(line.text) || " "}
                  </div>
                ))}
              </div>
            ))}
          </div>
        </section>
      )}
      {log.hidden > 0 || skipped > 0 ? (
        <p className="border-t px-3.5 py-2 text-sm text-muted">
          {log.hidden > 0 ? `${plural(log.hidden, "further line")} that differ are not shown. ` : ""}
          {skipped > 0 ? `Only the ends of the logs were compared; ${bytes(skipped)} were not.` : ""}
        </p>
      ) : null}
    </Panel>
  );
}
