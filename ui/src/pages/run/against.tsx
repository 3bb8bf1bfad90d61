import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { api, type Schema } from "~/api/client";
import { asApiError } from "~/api/problem";
import { useNs } from "~/app/namespace";
import { against, figure, MIN_NUMBERS, numberOf, ratioTo, spark } from "~/lib/against";
import { labelPairs } from "~/lib/matrix";
import { plural, ratio } from "~/lib/numbers";

const RUNS = 50;
const BOX = { width: 112, height: 22, inset: 3 };

/** Asks for the numbers of the latest runs in the cell of a run. Nothing of the page waits for them. */
export function useSeries(run: Schema["Run"]) {
  const ns = useNs();
  return useQuery({
    ...api.queryOptions("get", "/api/v1/namespaces/{namespace}/tests/{test}/series", {
      params: {
        path: { namespace: ns, test: run.test_id },
        query: {
          runs: RUNS,
          cell: labelPairs(run.cell),
        },
      },
    }),
    // The test may be deleted; then there is no history, and nothing is wrong with the run.
    retry: false,
    meta: { minAgeMs: 20_000 },
  });
}

/** Which of the series a number belongs to. */
export function seriesOf(
  all: Schema["TestSeries"] | undefined,
  of: { key: string } | { metric: Schema["Metric"] },
): Schema["NumberSeries"] | undefined {
  return all?.series.find((series) =>
    "key" in of
      ? series.source === "result_data" && series.name === of.key
      : series.source === "metric" &&
        series.name === of.metric.measurement &&
        series.field === of.metric.field &&
        sameTags(series.tags ?? {}, of.metric.tags),
  );
}

function sameTags(a: Record<string, string>, b: Record<string, string>): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}

/** A number against those of the latest runs in the same cell: a small line, their median, and how far it is from it. */
export function History({
  run,
  all,
  series,
  name,
  value,
}: {
  run: Schema["Run"];
  all: Schema["TestSeries"] | undefined;
  series: Schema["NumberSeries"] | undefined;
  name: string;
  value: unknown;
}) {
  const ns = useNs();
  const number = numberOf(value);
  if (!all || !series || number === undefined) return null;
  const ids = all.runs.map((each) => each.run_id);
  const found = against(ids, series.values, run.id, number, run.state !== "finished");
  if (found.others === 0) return <span className="text-muted">the first of its kind</span>;
  const { median } = found;
  const share = median === undefined ? undefined : ratioTo(median, number);
  return (
    <span className="items-center gap-x-3 font-sans text-sm max-md:flex max-md:flex-wrap md:grid md:grid-cols-[112px_8.5rem_4rem]">
      <Link
        to="/ns/$ns/tests/$test"
        params={{ ns, test: run.test_name }}
        search={{ tab: "metrics" }}
        aria-label={`${name} over the latest runs`}
        title={`${plural(found.others, "other run")} of this cell`}
        className="inline-flex min-h-6 items-center"
      >
        <Spark values={found.values} at={found.at} median={median} />
      </Link>
      {median === undefined ? (
        <span className="text-muted md:col-span-2">
          {plural(found.others, "other number")}; from {MIN_NUMBERS} on there is a median
        </span>
      ) : (
        <>
          <span className="text-muted md:whitespace-nowrap">median {figure(median)}</span>
          <span className={`whitespace-nowrap md:text-right ${share === 1 ? "text-muted" : "font-medium"}`}>
            {share === undefined ? `${number > 0 ? "+" : "−"}${figure(Math.abs(number))}` : ratio(share)}
          </span>
        </>
      )}
    </span>
  );
}

/** A line as high as a row; the words beside it say what there is to compare. */
function Spark({
  values,
  at,
  median,
}: {
  values: (number | null)[];
  at: number;
  median: number | undefined;
}) {
  const { points, level } = spark(values, BOX, median);
  const here = points[at];
  const path = points
    .map((point, index) => {
      if (!point) return "";
      const isFirst = !points[index - 1];
      // One between two gaps is a line without length, which its round ends make a dot.
      const isAlone = isFirst && !points[index + 1];
      return `${isFirst ? "M" : "L"}${point.x.toFixed(1)} ${point.y.toFixed(1)}${isAlone ? "h0" : ""}`;
    })
    .join("");
  return (
    <svg width={BOX.width} height={BOX.height} className="block" aria-hidden="true">
      {level === undefined ? null : (
        <path d={`M0 ${level.toFixed(1)}H${BOX.width}`} className="stroke-edge" strokeDasharray="2 3" />
      )}
      <path
        d={path}
        className="fill-none stroke-accent"
        strokeWidth={1.5}
        strokeLinecap="round"
        strokeLinejoin="round"
      />
      {here ? <circle cx={here.x} cy={here.y} r={2.6} className="fill-accent" /> : null}
    </svg>
  );
}

/** What the small lines are, or that they could not be loaded; the data itself stands there either way. */
export function HistoryNote({ query }: { query: ReturnType<typeof useSeries> }) {
  const error = query.error ? asApiError(query.error) : undefined;
  if (error && error.code !== "not_found" && !query.data) {
    return (
      <p role="status" className="border-t bg-warn-soft px-3.5 py-1.5 text-sm">
        The numbers of other runs could not be loaded: {error.title}.{" "}
        <button type="button" className="prose-link min-h-6" onClick={() => void query.refetch()}>
          Retry
        </button>
      </p>
    );
  }
  const runs = query.data?.runs.length ?? 0;
  if (!query.data?.series.length || runs < 2) return null;
  return (
    <p className="border-t px-3.5 py-2 text-sm text-muted">
      Lines show the latest {plural(runs, "run")} of this cell, with this one as a dot; the median is that of
      the others.
    </p>
  );
}
