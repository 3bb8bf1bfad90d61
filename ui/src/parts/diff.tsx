import { type DiffLine, foldSame } from "~/lib/diff";
import { plural } from "~/lib/numbers";

const LOOKS = {
  same: { sign: " ", className: "", word: "" },
  removed: { sign: "−", className: "bg-fail-soft", word: "removed: " },
  added: { sign: "+", className: "bg-pass-soft", word: "added: " },
} as const;

/** Lines that differ, with a few of the same around them. The signs say what the colours say. */
export function DiffView({
  lines,
  label,
  around = 4,
}: {
  lines: DiffLine[];
  label: string;
  around?: number;
}) {
  if (lines.every((line) => line.change === "same")) {
    return <p className="px-4 py-6 text-center text-sm text-muted">There is no difference.</p>;
  }
  return (
    <section className="overflow-x-auto py-1" tabIndex={0} aria-label={label}>
      <div className="code w-max min-w-full leading-5">
        {foldSame(lines, around).map((line, index) =>
          "hidden" in line ? (
            <div key={index} className="bg-sunken px-4 text-muted">
              ⋯ {plural(line.hidden, "line")} the same
            </div>
          ) : (
            <div key={index} className={`flex px-4 whitespace-pre ${LOOKS[line.change].className}`}>
              <span className="w-5 shrink-0 text-muted select-none" aria-hidden="true">
                {LOOKS[line.change].sign}
              </span>
              <span className="visually-hidden">{LOOKS[line.change].word}</span>
              {line.text || " "}
            </div>
          ),
        )}
      </div>
    </section>
  );
}
