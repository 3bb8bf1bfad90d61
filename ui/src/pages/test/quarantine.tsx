import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, client, type Schema } from "~/api/client";
import { identityQuery, mayControl } from "~/api/session";
import { useAction } from "~/app/action";
import { useNs } from "~/app/namespace";
import { caseText } from "~/lib/cases";
import { Button, Empty, Panel } from "~/parts/basics";
import { Dialog, DialogEnd } from "~/parts/dialog";
import { Loaded, Problem } from "~/parts/loaded";
import { OnlyFirst } from "~/parts/more";
import { lackOf, newQuarantine, QuarantineFields, quarantineBody } from "~/parts/quarantine-fields";
import { Badge } from "~/parts/state";
import { Time } from "~/parts/time";

/** The cases of a test that are in quarantine, or were. */
export function Quarantine({ test }: { test: Schema["TestDef"] }) {
  const ns = useNs();
  const { data: identity } = useQuery(identityQuery);
  const why = mayControl(identity) ? undefined : "This needs a token with the scope control";
  const path = { namespace: ns, test: test.name };
  const query = useQuery(
    api.queryOptions("get", "/api/v1/namespaces/{namespace}/tests/{test}/quarantine", {
      params: { path, query: { page_size: 500 } },
    }),
  );
  const remove = useAction({
    act: async (id: string) => {
      await client.DELETE("/api/v1/namespaces/{namespace}/tests/{test}/quarantine/{case}", {
        params: { path: { ...path, case: id } },
      });
    },
    says: "Taken out of quarantine",
    fails: "Still in quarantine",
  });
  return (
    <Panel title="Quarantine">
      <Loaded query={query} what="The quarantine">
        {(page) =>
          page.items.length === 0 ? (
            <Empty title="No case of it is in quarantine">
              A case that fails for a known reason can be muted for a while: it runs, and its failure does not
              fail the run. Open the case under Cases to do so.
            </Empty>
          ) : (
            <div className="overflow-x-auto">
              <table className="tbl">
                <thead>
                  <tr>
                    <th>Mode</th>
                    <th className="w-full">Case</th>
                    <th>Until</th>
                    <th>Owner</th>
                    <th>
                      <span className="visually-hidden">Take out</span>
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {page.items.map((entry) => (
                    <tr key={entry.case_id} className={entry.in_force ? "" : "opacity-65"}>
                      <td>
                        <Badge tone={entry.in_force ? "warn" : "idle"}>
                          {entry.mode === "mute" ? "muted" : "skipped"}
                          {entry.in_force ? "" : ", over"}
                        </Badge>
                      </td>
                      <td className="min-w-48 wrap-anywhere">
                        {caseText(entry.key)}
                        <span className="block text-muted">{entry.reason}</span>
                      </td>
                      <td>
                        <Time at={entry.until} />
                      </td>
                      <td>
                        {entry.owner}
                        <span className="block text-muted">by {entry.created_by}</span>
                      </td>
                      <td>
                        <Button
                          why={why}
                          busy={remove.isPending}
                          onClick={() => remove.mutate(entry.case_id)}
                        >
                          Take out
                        </Button>
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
              <OnlyFirst
                page={page}
                what="cases"
                command={`tstr ctl quarantine list ${test.name} --namespace ${ns}`}
              />
            </div>
          )
        }
      </Loaded>
    </Panel>
  );
}

/** The button that mutes a case, with the form behind it. */
export function MuteButton({
  test,
  caseId,
  name,
}: {
  test: Schema["TestDef"];
  caseId: string;
  name: string;
}) {
  const { data: identity } = useQuery(identityQuery);
  const [open, setOpen] = useState(false);
  return (
    <>
      <Button
        why={mayControl(identity) ? undefined : "This needs a token with the scope control"}
        onClick={() => setOpen(true)}
      >
        Quarantine…
      </Button>
      {open ? <MuteDialog test={test} caseId={caseId} name={name} onClose={() => setOpen(false)} /> : null}
    </>
  );
}

function MuteDialog({
  test,
  caseId,
  name,
  onClose,
}: {
  test: Schema["TestDef"];
  caseId: string;
  name: string;
  onClose: () => void;
}) {
  const ns = useNs();
  const [wish, setWish] = useState(() => newQuarantine(test.annotations.owner));
  const put = useAction({
    act: async () => {
      await client.PUT("/api/v1/namespaces/{namespace}/tests/{test}/quarantine/{case}", {
        params: { path: { namespace: ns, test: test.name, case: caseId } },
        body: quarantineBody(wish),
      });
    },
    says: "In quarantine",
    fails: "Not in quarantine",
    after: onClose,
  });
  const why = lackOf(wish);
  return (
    <Dialog title={`Quarantine ${name}`} onClose={onClose}>
      <form
        className="flex flex-col gap-4"
        onSubmit={(event) => {
          event.preventDefault();
          if (!why) put.mutate();
        }}
      >
        <QuarantineFields wish={wish} onChange={setWish} />
        {put.error ? <Problem error={put.error} /> : null}
        <DialogEnd onClose={onClose}>
          <Button type="submit" kind="primary" why={why} busy={put.isPending}>
            Quarantine
          </Button>
        </DialogEnd>
      </form>
    </Dialog>
  );
}
