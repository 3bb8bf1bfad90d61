import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { api, client, type Schema } from "~/api/client";
import { identityQuery, mayAdmin } from "~/api/session";
import { useAction } from "~/app/action";
import { newKey } from "~/lib/key";
import { bytes, count, plural } from "~/lib/numbers";
import { Button, Panel } from "~/parts/basics";
import { Dialog, DialogEnd, TextField } from "~/parts/dialog";
import { Loaded, Problem, Skeleton } from "~/parts/loaded";
import { OnlyFirst } from "~/parts/more";

type Info = Schema["NamespaceInfo"];
const GIB = 1024 ** 3;
const DAY = 86_400_000;
/** A summary tells at most a thousand days. */
const MOST_DAYS = 990;

/** The namespaces: what each holds, how much it may hold, and for how long. */
export function Namespaces() {
  const { data: identity } = useQuery(identityQuery);
  const why = mayAdmin(identity) ? undefined : "This needs a token with the scope admin";
  const [editing, setEditing] = useState<Info | "new">();
  const query = useQuery(
    api.queryOptions("get", "/api/v1/namespaces", { params: { query: { page_size: 500 } } }),
  );
  return (
    <Panel
      title="Namespaces"
      actions={
        <Button kind="primary" why={why} onClick={() => setEditing("new")}>
          Create a namespace
        </Button>
      }
    >
      <Loaded query={query} what="The namespaces" skeleton={<Skeleton rows={4} height={22} />}>
        {(page) => (
          <div className="overflow-x-auto">
            <table className="tbl">
              <thead>
                <tr>
                  <th className="w-full">Name</th>
                  <th className="num">Tests</th>
                  <th className="num">Runs</th>
                  <th className="num">Logs</th>
                  <th className="num">Artifacts</th>
                  <th>Keeps</th>
                  <th>Quotas</th>
                  <th>
                    <span className="visually-hidden">Change</span>
                  </th>
                </tr>
              </thead>
              <tbody>
                {page.items.map((each) => (
                  <tr key={each.name}>
                    <td>
                      <Link className="link font-medium" to="/ns/$ns" params={{ ns: each.name }}>
                        {each.name}
                      </Link>
                    </td>
                    <td className="num">{count(each.tests)}</td>
                    <td className="num">{count(each.usage.runs)}</td>
                    <td className="num">{bytes(each.usage.log_bytes)}</td>
                    <td className="num">{bytes(each.usage.artifact_bytes)}</td>
                    <td className="whitespace-nowrap">
                      runs {plural(each.retention.runs_days, "day")}
                      <span className="block text-muted">logs {plural(each.retention.logs_days, "day")}</span>
                    </td>
                    <td className="whitespace-nowrap">{quotas(each.quotas)}</td>
                    <td className="py-1">
                      <Button why={why} onClick={() => setEditing(each)}>
                        Change
                        <span className="visually-hidden"> {each.name}</span>
                      </Button>
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
            <OnlyFirst page={page} what="namespaces" command="tstr ctl namespace list" />
          </div>
        )}
      </Loaded>
      {editing ? (
        <Edit namespace={editing === "new" ? undefined : editing} onClose={() => setEditing(undefined)} />
      ) : null}
    </Panel>
  );
}

function quotas(of: Schema["Quotas"]): string {
  const list = [
    of.max_queued !== null && of.max_queued !== undefined && `${count(of.max_queued)} waiting`,
    of.max_running !== null && of.max_running !== undefined && `${count(of.max_running)} running`,
    of.max_bytes !== null && of.max_bytes !== undefined && bytes(of.max_bytes),
  ].filter(Boolean);
  return list.length > 0 ? list.join(", ") : "none";
}

/** Creating a namespace, or changing what it may hold. An empty quota is none. */
function Edit({ namespace, onClose }: { namespace: Info | undefined; onClose: () => void }) {
  const [name, setName] = useState(namespace?.name ?? "");
  const [queued, setQueued] = useState(text(namespace?.quotas.max_queued));
  const [running, setRunning] = useState(text(namespace?.quotas.max_running));
  const most = namespace?.quotas.max_bytes ?? null;
  const shownGib = most === null ? "" : String(Math.round((most / GIB) * 100) / 100);
  const [gib, setGib] = useState(shownGib);
  const [runsDays, setRunsDays] = useState(text(namespace?.retention.runs_days));
  const [logsDays, setLogsDays] = useState(text(namespace?.retention.logs_days));
  const [key] = useState(newKey);
  const save = useAction({
    act: async () => {
      const body = {
        quotas: {
          max_queued: number(queued),
          max_running: number(running),
          // What is shown is rounded; what was not touched stays as it is.
          max_bytes: gib === shownGib ? most : gib ? Math.round(Number(gib) * GIB) : null,
        },
        retention: {
          ...(runsDays ? { runs_days: Number(runsDays) } : {}),
          ...(logsDays ? { logs_days: Number(logsDays) } : {}),
        },
      };
      if (namespace) {
        await client.PATCH("/api/v1/namespaces/{namespace}", {
          params: { path: { namespace: namespace.name } },
          body,
        });
      } else {
        await client.POST("/api/v1/namespaces", {
          params: { header: { "Idempotency-Key": key } },
          body: { name: name.trim(), ...body },
        });
      }
    },
    says: namespace ? `${namespace.name} is changed` : `${name.trim()} is created`,
    fails: namespace ? "Not changed" : "Not created",
    after: (_, queries) => {
      void queries.invalidateQueries({ queryKey: ["identity"] });
      onClose();
    },
  });
  const shorter = namespace && runsDays && Number(runsDays) < namespace.retention.runs_days;
  const field = (label: string, value: string, set: (text: string) => void, hint?: string, step = "1") => (
    <TextField label={label} hint={hint} type="number" min={0} step={step} value={value} onChange={set} />
  );
  return (
    <Dialog title={namespace ? `Change ${namespace.name}` : "Create a namespace"} onClose={onClose}>
      <form
        className="flex flex-col gap-4"
        onSubmit={(event) => {
          event.preventDefault();
          if (name.trim()) save.mutate();
        }}
      >
        {namespace ? null : (
          <TextField
            label="Name"
            hint="Lower-case letters, digits and dashes."
            required
            value={name}
            onChange={setName}
          />
        )}
        <div className="grid gap-4 sm:grid-cols-2">
          {field("Runs are kept for, in days", runsDays, setRunsDays)}
          {field("Logs are kept for, in days", logsDays, setLogsDays)}
          {field("Runs that may wait", queued, setQueued, "Empty: as many as there are.")}
          {field("Runs that may run at once", running, setRunning, "Empty: as many as runners take.")}
          {field("Logs and artifacts, in GiB", gib, setGib, "Empty: no limit.", "any")}
        </div>
        {shorter ? (
          <p className="rounded bg-warn-soft px-3 py-2 text-sm">
            Runs older than {plural(Number(runsDays), "day")} will be removed, except those that are kept.
            That cannot be undone. <WouldGo namespace={namespace} days={Number(runsDays)} />
          </p>
        ) : null}
        {save.error ? <Problem error={save.error} /> : null}
        <DialogEnd onClose={onClose}>
          <Button
            type="submit"
            kind="primary"
            busy={save.isPending}
            why={name.trim() ? undefined : "It needs a name"}
          >
            {namespace ? "Change" : "Create"}
          </Button>
        </DialogEnd>
      </form>
    </Dialog>
  );
}

/** How many runs a shorter retention removes, by the sums that are kept of them. */
function WouldGo({ namespace, days }: { namespace: Info; days: number }) {
  const [today] = useState(() => Math.floor(Date.now() / DAY) * DAY);
  const ago = (n: number) => new Date(today - n * DAY).toISOString();
  const { data } = useQuery({
    ...api.queryOptions("get", "/api/v1/namespaces/{namespace}/summary", {
      params: {
        path: { namespace: namespace.name },
        query: {
          interval: "day",
          scheduled_after: ago(Math.min(namespace.retention.runs_days, days + MOST_DAYS)),
          scheduled_before: ago(days),
        },
      },
    }),
    enabled: Number.isInteger(days) && days >= 0 && days < namespace.retention.runs_days,
  });
  if (!data) return null;
  return (
    <span className="font-medium">
      {data.totals.counts.runs === 0
        ? "As it is now, none is that old."
        : `As it is now, about ${plural(data.totals.counts.runs, "run")} of ${count(namespace.usage.runs)} would go.`}
    </span>
  );
}

function text(value: number | null | undefined): string {
  return value === null || value === undefined ? "" : String(value);
}

function number(value: string): number | null {
  return value === "" ? null : Number(value);
}
