import { useQuery } from "@tanstack/react-query";
import { api, type Schema } from "~/api/client";
import { Loaded } from "~/parts/loaded";
import { State, stateLabel } from "~/parts/state";
import { Time } from "~/parts/time";

/** Every change of the state of a run: when, from what to what, and who did it. */
export function Events({ run }: { run: Schema["Run"] }) {
  const query = useQuery(
    api.queryOptions("get", "/api/v1/runs/{run}/events", { params: { path: { run: run.id } } }),
  );
  return (
    <Loaded query={query} what="The events">
      {(page) => (
        <div className="overflow-x-auto" tabIndex={0} role="region" aria-label="Events">
          <table className="tbl">
            <thead>
              <tr>
                <th>When</th>
                <th>To</th>
                <th>From</th>
                <th>Attempt</th>
                <th className="w-full">By</th>
              </tr>
            </thead>
            <tbody>
              {page.items.map((event) => (
                <tr key={event.id}>
                  <td>
                    <Time at={event.at} how="absolute" millis />
                  </td>
                  <td>
                    <State state={event.result ?? event.to} />
                    {event.reason ? (
                      <span className="ml-2 text-muted">{event.reason.replaceAll("_", " ")}</span>
                    ) : null}
                  </td>
                  <td className="text-muted">{event.from ? stateLabel(event.from).toLowerCase() : "–"}</td>
                  <td>{event.attempt || "–"}</td>
                  <td className="text-muted wrap-anywhere">{event.actor}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Loaded>
  );
}
