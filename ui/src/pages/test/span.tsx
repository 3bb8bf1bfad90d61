import { getRouteApi, useNavigate } from "@tanstack/react-router";
import type { Span } from "~/parts/range";
import { Time } from "~/parts/time";

const route = getRouteApi("/ns/$ns/tests/$test");

/** The span of time that the charts and the runs of a test are narrowed to. It is in the address, as all filters are. */
export function useSpan() {
  const { after, before } = route.useSearch();
  const navigate = useNavigate({ from: "/ns/$ns/tests/$test" });
  const set = (span: Span) =>
    void navigate({
      search: (old) => ({ ...old, after: span.after, before: span.before }),
      resetScroll: false,
    });
  return {
    after,
    before,
    isSpan: after !== undefined || before !== undefined,
    set,
    /** Narrows to a part of a chart; its bounds lie a moment beside what is drawn there, since lists leave them out. */
    zoom: (from: number, to: number) =>
      set({ after: new Date(from - 1).toISOString(), before: new Date(to + 1).toISOString() }),
    /** Whether an instant is within. */
    has: (at: string) =>
      (after === undefined || Date.parse(at) > Date.parse(after)) &&
      (before === undefined || Date.parse(at) < Date.parse(before)),
  };
}

/** Which span is shown, and the way back to all; nothing without one. */
export function SpanNote({ span }: { span: ReturnType<typeof useSpan> }) {
  if (!span.isSpan) return null;
  return (
    <p className="mt-1 flex flex-wrap items-center gap-x-2 text-sm">
      <span>
        {span.after ? (
          <>
            From <Time at={span.after} how="absolute" />{" "}
          </>
        ) : null}
        {span.before ? (
          <>
            {span.after ? "until" : "Until"} <Time at={span.before} how="absolute" />
          </>
        ) : null}
      </span>
      <button type="button" className="link min-h-6" onClick={() => span.set({})}>
        show the latest
      </button>
    </p>
  );
}
