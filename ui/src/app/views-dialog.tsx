import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { api, client, type Schema } from "~/api/client";
import { identityQuery, mayControl } from "~/api/session";
import { parseSearch, stringifySearch } from "~/lib/search";
import { Button } from "~/parts/basics";
import { Dialog, TextField } from "~/parts/dialog";
import { Loaded, Problem } from "~/parts/loaded";
import { Badge } from "~/parts/state";
import { useAction } from "./action";
import { useNs } from "./namespace";

/** The pages that have views, and their addresses. */
const PAGES = { tests: "/ns/$ns/tests", runs: "/ns/$ns/runs" } as const;

/** The saved views of a page, and the form that saves one. */
export function ViewsDialog({
  page,
  search,
  onClose,
}: {
  page: keyof typeof PAGES;
  search: Record<string, unknown>;
  onClose: () => void;
}) {
  const ns = useNs();
  const { data: identity } = useQuery(identityQuery);
  const [name, setName] = useState("");
  const [shared, setShared] = useState(false);
  const query = useQuery(
    api.queryOptions("get", "/api/v1/namespaces/{namespace}/views", { params: { path: { namespace: ns } } }),
  );
  const text = stringifySearch(search).slice(1);
  const save = useAction({
    act: async () => {
      await client.PUT("/api/v1/namespaces/{namespace}/views/{view}", {
        params: { path: { namespace: ns, view: name.trim() } },
        body: { page, query: text, shared },
      });
    },
    says: "The view is saved",
    fails: "Not saved",
    after: () => setName(""),
  });
  const remove = useAction({
    act: async (view: Schema["SavedView"]) => {
      await client.DELETE("/api/v1/namespaces/{namespace}/views/{view}", {
        params: { path: { namespace: ns, view: view.name }, query: { shared: view.shared } },
      });
    },
    says: "The view is removed",
    fails: "Not removed",
  });
  return (
    <Dialog title="Saved views" onClose={onClose}>
      <Loaded query={query} what="The views">
        {({ items }) => {
          const here = items.filter((view) => view.page === page);
          return here.length === 0 ? (
            <p className="text-sm text-muted">
              None yet. What is filtered and ordered now can be saved under a name.
            </p>
          ) : (
            <ul className="-mx-1 text-sm">
              {here.map((view) => (
                <li key={`${view.shared} ${view.name}`} className="flex min-h-9 items-center gap-2 px-1">
                  <Link
                    className="link inline-flex min-h-6 min-w-0 items-center font-medium wrap-anywhere"
                    to={PAGES[page]}
                    params={{ ns }}
                    search={parseSearch(view.query) as never}
                    onClick={onClose}
                  >
                    {view.name}
                  </Link>
                  {view.shared ? <Badge tone="accent">shared</Badge> : null}
                  <span className="min-w-0 flex-1 truncate text-muted">{view.query || "no filter"}</span>
                  <Button
                    kind="quiet"
                    busy={remove.isPending}
                    why={
                      view.shared && !mayControl(identity)
                        ? "This needs a token with the scope control"
                        : undefined
                    }
                    onClick={() => remove.mutate(view)}
                  >
                    Remove
                    <span className="visually-hidden"> {view.name}</span>
                  </Button>
                </li>
              ))}
            </ul>
          );
        }}
      </Loaded>
      <form
        className="mt-4 flex flex-col gap-3 border-t pt-4"
        onSubmit={(event) => {
          event.preventDefault();
          if (name.trim()) save.mutate();
        }}
      >
        <TextField
          label="Save what is shown as"
          hint={text ? <code className="code wrap-anywhere">{text}</code> : "Nothing is filtered now."}
          maxLength={100}
          value={name}
          onChange={setName}
        />
        <label className="flex min-h-6 items-center gap-2 text-sm">
          <input
            type="checkbox"
            checked={shared}
            disabled={!mayControl(identity)}
            onChange={(event) => setShared(event.target.checked)}
          />
          For everybody who sees {ns}
        </label>
        {save.error ? <Problem error={save.error} /> : null}
        <div className="flex justify-end">
          <Button
            type="submit"
            kind="primary"
            busy={save.isPending}
            why={name.trim() ? undefined : "It needs a name"}
          >
            Save
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
