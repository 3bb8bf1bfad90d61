import { useState } from "react";
import { useZone } from "~/app/settings";
import { zoneLabel } from "~/lib/time";
import { instantOf, localOf } from "~/lib/zoned";
import { Button } from "./basics";
import { Dialog, DialogEnd, TextField } from "./dialog";
import { Icon } from "./icons";
import { Time } from "./time";

/** A span of time as the address has it: two instants, of which either may be open. */
export interface Span {
  after?: string | undefined;
  before?: string | undefined;
}

/** A range of time: one of some that end now, or a span from an instant to another. */
export function RangePicker<R extends string>({
  presets = [],
  preset,
  span,
  onPreset,
  onSpan,
}: {
  presets?: readonly R[];
  /** Which one is chosen; a span is chosen instead where there is one. */
  preset?: R | undefined;
  span: Span;
  onPreset?: (preset: R) => void;
  /** Sets a span; an empty one takes it away. */
  onSpan: (span: Span) => void;
}) {
  const [isOpen, setOpen] = useState(false);
  const isSpan = span.after !== undefined || span.before !== undefined;
  return (
    <fieldset className="flex flex-wrap items-center gap-1">
      <legend className="visually-hidden">Range of time</legend>
      {presets.map((each) => {
        const isOn = !isSpan && preset === each;
        return (
          <button
            key={each}
            type="button"
            className={`btn px-2.5 ${isOn ? "border-accent bg-accent-soft" : ""}`}
            aria-pressed={isOn}
            onClick={() => onPreset?.(each)}
          >
            {each}
          </button>
        );
      })}
      <button
        type="button"
        className={`btn px-2.5 ${isSpan ? "border-accent bg-accent-soft" : ""}`}
        aria-pressed={isSpan}
        onClick={() => setOpen(true)}
      >
        {isSpan ? <SpanText span={span} /> : "from … to"}
      </button>
      {isSpan ? (
        <button
          type="button"
          className="btn btn-quiet btn-icon"
          onClick={() => onSpan({})}
          aria-label="Take the span of time away"
        >
          <Icon name="close" size={12} />
        </button>
      ) : null}
      {isOpen ? <SpanDialog span={span} onSpan={onSpan} onClose={() => setOpen(false)} /> : null}
    </fieldset>
  );
}

function SpanText({ span }: { span: Span }) {
  return (
    <span className="whitespace-normal">
      {span.after ? (
        <>
          from <Time at={span.after} how="absolute" />
        </>
      ) : null}{" "}
      {span.before ? (
        <>
          until <Time at={span.before} how="absolute" />
        </>
      ) : null}
    </span>
  );
}

/** The fields of a span. They are read in the zone in which all times are shown, and say which that is. */
function SpanDialog({
  span,
  onSpan,
  onClose,
}: {
  span: Span;
  onSpan: (span: Span) => void;
  onClose: () => void;
}) {
  const zone = useZone();
  const local = (at: string | undefined) =>
    at && !Number.isNaN(Date.parse(at)) ? localOf(new Date(at), zone) : "";
  const [from, setFrom] = useState(local(span.after));
  const [to, setTo] = useState(local(span.before));
  const after = from ? instantOf(from, zone) : undefined;
  const before = to ? instantOf(to, zone) : undefined;
  const why =
    !from && !to
      ? "Say from when, until when, or both"
      : (from && !after) || (to && !before)
        ? "A time is not whole"
        : after && before && after >= before
          ? "It ends before it begins"
          : undefined;
  const label = zoneLabel(after ?? before ?? new Date(), zone);
  return (
    <Dialog title="A span of time" onClose={onClose}>
      <form
        className="flex flex-col gap-4"
        onSubmit={(event) => {
          event.preventDefault();
          if (why) return;
          onSpan({ after: after?.toISOString(), before: before?.toISOString() });
          onClose();
        }}
      >
        <div className="grid gap-4 sm:grid-cols-2">
          <TextField
            label="From"
            hint={`In ${zone} (${label}); open without it.`}
            type="datetime-local"
            className="w-full"
            value={from}
            onChange={setFrom}
          />
          <TextField
            label="Until"
            hint="In the same zone; now without it."
            type="datetime-local"
            className="w-full"
            value={to}
            onChange={setTo}
          />
        </div>
        <p role="status" className="min-h-5 text-sm text-fail">
          {why && (from || to) ? why : ""}
        </p>
        <DialogEnd onClose={onClose}>
          <Button type="submit" kind="primary" why={why}>
            Show it
          </Button>
        </DialogEnd>
      </form>
    </Dialog>
  );
}
