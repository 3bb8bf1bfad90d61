import { useState } from "react";
import { client, type Schema } from "~/api/client";
import { plural } from "~/lib/numbers";
import { Button } from "~/parts/basics";
import { Dialog, DialogEnd, Field } from "~/parts/dialog";
import { ManyOutcomes, useMany } from "~/parts/many";
import { lackOf, newQuarantine, QuarantineFields, quarantineBody } from "~/parts/quarantine-fields";

/** Which cases of the picked tests are meant. */
const WHICH = {
  flaky: { name: "that are flaky", query: { status: ["flaky"] } },
  failing: { name: "that failed in their latest run", query: { standing: ["new", "still_failing"] } },
} as const satisfies Record<
  string,
  { name: string; query: { status?: Schema["Status"][]; standing?: Schema["Standing"][] } }
>;

type Which = keyof typeof WHICH;

/** A page of cases; a test with more of them to mute has another trouble, and is told so. */
const MOST = 200;

/** Puts the flaky or the failing cases of several tests into quarantine. It is cases that are muted, never a whole test. */
export function BulkQuarantine({ ns, names, onClose }: { ns: string; names: string[]; onClose: () => void }) {
  // What the dialog was opened for: what is picked may change behind it.
  const [tests] = useState(names);
  const [which, setWhich] = useState<Which>("flaky");
  const [wish, setWish] = useState(() => newQuarantine());
  const { many, start } = useMany<string, number>();
  const why = lackOf(wish);
  return (
    <Dialog title={`Quarantine cases of ${plural(tests.length, "test")}`} onClose={onClose}>
      <form
        className="flex flex-col gap-4"
        onSubmit={(event) => {
          event.preventDefault();
          if (!why && !many) void start(tests, (test) => quarantine(ns, test, which, quarantineBody(wish)));
        }}
      >
        {many ? (
          <ManyOutcomes
            many={many}
            what="test"
            says="looked through"
            name={(test) => test}
            of={(_, cases) =>
              cases === 0 ? `no case of it is ${which}` : `${plural(cases, "case")} in quarantine`
            }
          />
        ) : (
          <>
            <Field label="Which of their cases">
              {(id) => (
                <select
                  id={id}
                  className="input w-full"
                  value={which}
                  onChange={(event) => setWhich(event.target.value as Which)}
                >
                  {(Object.keys(WHICH) as Which[]).map((each) => (
                    <option key={each} value={each}>
                      {WHICH[each].name}
                    </option>
                  ))}
                </select>
              )}
            </Field>
            <QuarantineFields wish={wish} onChange={setWish} />
          </>
        )}
        <DialogEnd onClose={onClose}>
          {many && !many.isRunning ? null : (
            <Button type="submit" kind="primary" why={why} busy={many?.isRunning}>
              Quarantine
            </Button>
          )}
        </DialogEnd>
      </form>
    </Dialog>
  );
}

/** Mutes the cases of one test, and says how many they were. A case that is in several cells is one case. */
async function quarantine(
  namespace: string,
  test: string,
  which: Which,
  body: Schema["PutQuarantine"],
): Promise<number> {
  const { data } = await client.GET("/api/v1/namespaces/{namespace}/tests/{test}/cases", {
    params: { path: { namespace, test }, query: { ...WHICH[which].query, page_size: MOST } },
  });
  const ids = new Set(data!.items.map((each) => each.case_id));
  if (data!.next_page_token)
    throw new Error(`more than ${MOST} cases of it are ${which}: none was put in quarantine`);
  for (const id of ids) {
    await client.PUT("/api/v1/namespaces/{namespace}/tests/{test}/quarantine/{case}", {
      params: { path: { namespace, test, case: id } },
      body,
    });
  }
  return ids.size;
}
