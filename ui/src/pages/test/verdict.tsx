import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { api, type Schema } from "~/api/client";
import { useNs } from "~/app/namespace";
import { activeFindings, findingText } from "~/lib/findings";
import { plural } from "~/lib/numbers";
import { ends, isBad } from "~/lib/strip";
import { cellText } from "~/parts/basics";
import { SOFT, StateIcon } from "~/parts/state";
import { Time } from "~/parts/time";

/** How a test is, since when, and what changed then: the first thing that whoever looks after it wants to know. */
export function Verdict({ test, cells }: { test: Schema["TestDef"]; cells: Schema["CellState"][] }) {
  const ns = useNs();
  const failing = cells.filter((cell) => isBad(ends(cell.strip).at(-1)));
  const flaky = cells.filter((cell) => cell.status === "flaky");
  const { data: changed } = useQuery({
    ...api.queryOptions("get", "/api/v1/namespaces/{namespace}/tests/{test}/changed", {
      params: { path: { namespace: ns, test: test.name } },
    }),
    // Without a pass and a failure after it there is nothing to compare, and «not found» would stand in the console.
    enabled: failing.some((cell) => /[pr][^pr]*[ft][^pr]*$/.test(cell.strip)),
    // «Nothing to compare» is answered as not found, which is no failure here.
    retry: false,
  });
  if (cells.length === 0) {
    return <p className={`rounded-lg px-4 py-2.5 text-sm ${SOFT.idle}`}>No run of it has ended yet.</p>;
  }
  if (failing.length === 0 && flaky.length === 0) {
    const last = cells
      .map((cell) => cell.last_at ?? "")
      .sort()
      .at(-1);
    return (
      <p className={`flex items-center gap-2.5 rounded-lg px-4 py-2.5 text-sm ${SOFT.pass}`}>
        <StateIcon state="healthy" />
        <span>
          Passing{cells.length > 1 ? ` in all ${plural(cells.length, "cell")}` : ""}; latest run{" "}
          <Time at={last || undefined} />.
        </span>
      </p>
    );
  }
  const isFailing = failing.length > 0;
  const shown = isFailing ? failing : flaky;
  const finding = activeFindings(shown[0]?.findings)[0];
  return (
    <div
      className={`flex items-start gap-2.5 rounded-lg px-4 py-2.5 text-sm ${isFailing ? SOFT.fail : SOFT.warn}`}
    >
      <span className="mt-[3px]">
        <StateIcon state={isFailing ? "fail" : "flaky"} />
      </span>
      <div className="min-w-0 wrap-anywhere">
        <p className="font-medium">
          {isFailing ? "Failing" : "Flaky"}
          {cells.length > 1 ? ` in ${shown.length} of ${plural(cells.length, "cell")}` : ""}
          {isFailing && changed ? (
            <>
              {" since "}
              <Link
                className="underline underline-offset-3"
                to="/ns/$ns/runs/$run"
                params={{ ns, run: changed.first_fail.run_id }}
              >
                <Time at={changed.first_fail.at} />
              </Link>
              {Object.keys(changed.cell).length > 0 ? ` (${cellText(changed.cell)})` : ""}
            </>
          ) : null}
          {finding ? `: ${findingText(finding)}` : ""}
        </p>
        {changed ? (
          <p className="text-ink">
            {changed.sentence}{" "}
            <Link
              className="prose-link"
              to="/ns/$ns/compare"
              params={{ ns }}
              search={{ a: changed.last_pass.run_id, b: changed.first_fail.run_id }}
            >
              Compare the last pass with the first failure
            </Link>
          </p>
        ) : null}
        {!isFailing && flaky.length > 0 ? (
          <p className="text-ink">
            {flaky.slice(0, 5).map((cell, index) => (
              <span key={index}>
                {index > 0 ? "; " : ""}
                {cellText(cell.cell) || "since"} {cell.changed_at ? <Time at={cell.changed_at} /> : null}
              </span>
            ))}
          </p>
        ) : null}
      </div>
    </div>
  );
}
