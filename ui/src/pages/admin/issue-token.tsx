import { useState } from "react";
import { client, type Schema } from "~/api/client";
import { useAction } from "~/app/action";
import { newKey } from "~/lib/key";
import { Button, Copy } from "~/parts/basics";
import { Dialog, DialogEnd, TextField } from "~/parts/dialog";
import { Problem } from "~/parts/loaded";
import { Time } from "~/parts/time";

const KINDS: { scopes: Schema["Scope"][]; name: string }[] = [
  { scopes: ["data"], name: "Read: tests, runs, logs" },
  { scopes: ["control"], name: "Read and write tests and runs" },
  { scopes: ["admin"], name: "Everything, tokens and namespaces included" },
  { scopes: ["runner"], name: "A runner: executes runs, and nothing else" },
];

/** What a token may do: what is offered, and before that what a token has which is to be replaced. */
function kindsLike(like: Schema["Token"] | undefined): typeof KINDS {
  if (!like) return KINDS;
  const wanted = [...like.scopes].sort().join();
  const same = KINDS.find((each) => [...each.scopes].sort().join() === wanted);
  const rest = KINDS.filter((each) => each !== same);
  return [same ?? { scopes: like.scopes, name: `What ${like.name} may do` }, ...rest];
}

/**
 * Issues a token, or one like another that it is to replace: both work until the old one is revoked or ends. The secret is
 * shown here, once: nobody can ask for it again.
 */
export function IssueToken({ like, onClose }: { like?: Schema["Token"] | undefined; onClose: () => void }) {
  const [kinds] = useState(() => kindsLike(like));
  const [name, setName] = useState(like?.name ?? "");
  const [kind, setKind] = useState(0);
  const [namespaces, setNamespaces] = useState(like?.namespaces.join(" ") ?? ".*");
  const [days, setDays] = useState("90");
  const [key] = useState(newKey);
  const [issued, setIssued] = useState<Schema["IssuedToken"]>();
  const issue = useAction({
    act: async () =>
      (
        await client.POST("/api/v1/tokens", {
          params: { header: { "Idempotency-Key": key } },
          body: {
            name: name.trim(),
            scopes: kinds[kind]?.scopes ?? [],
            namespaces: namespaces.split(/\s+/).filter(Boolean),
            expires_in: `${Math.round(Number(days) * 24)}h`,
          },
        })
      ).data!,
    says: (made) => `${made.record.name} is issued`,
    fails: "Not issued",
    after: (made, queries) => {
      setIssued(made);
      void queries.invalidateQueries({ queryKey: ["get", "/api/v1/tokens"] });
    },
  });
  if (issued) {
    return (
      <Dialog title={`The secret of ${issued.record.name}`} onClose={onClose} stays>
        <p className="text-sm">It is shown this once. Copy it now; who has lost it issues another one.</p>
        <div className="mt-3 flex items-center gap-2 rounded-md border bg-sunken p-2">
          <code className="code min-w-0 flex-1 wrap-anywhere">{issued.token}</code>
          <Copy text={issued.token}>Copy</Copy>
        </div>
        <p className="mt-3 text-sm text-muted">
          It expires <Time at={issued.record.expires_at} how="both" />.
          {like
            ? ` ${like.name} as it was goes on working: put the new one in its place, and revoke it then.`
            : ""}
        </p>
        <div className="mt-5 flex justify-end">
          <Button kind="primary" onClick={onClose}>
            I have it
          </Button>
        </div>
      </Dialog>
    );
  }
  const why = !name.trim()
    ? "It needs a name"
    : !(Number(days) >= 1 && Number(days) <= 365)
      ? "It lives from 1 to 365 days"
      : undefined;
  return (
    <Dialog title={like ? `Replace ${like.name}` : "Issue a token"} onClose={onClose}>
      <form
        className="flex flex-col gap-4"
        onSubmit={(event) => {
          event.preventDefault();
          if (!why) issue.mutate();
        }}
      >
        <TextField
          label="Name"
          hint="Who or what uses it: it stands in the events of runs."
          required
          maxLength={100}
          value={name}
          onChange={setName}
        />
        <fieldset className="flex flex-col gap-1">
          <legend className="mb-1 text-sm font-medium">What it may do</legend>
          {kinds.map((each, index) => (
            <label key={each.name} className="flex min-h-7 items-center gap-2 text-sm">
              <input type="radio" name="kind" checked={kind === index} onChange={() => setKind(index)} />
              {each.name} <span className="text-muted">({each.scopes.join(", ")})</span>
            </label>
          ))}
        </fieldset>
        <TextField
          label="Namespaces"
          hint="Regular expressions over the whole name, with spaces between; .* is every namespace. It cannot see more than you do."
          required
          className="code"
          value={namespaces}
          onChange={setNamespaces}
        />
        <TextField
          label="Days until it expires"
          hint="At most 365, and not longer than your own."
          type="number"
          min={1}
          max={365}
          required
          className="w-28"
          value={days}
          onChange={setDays}
        />
        {issue.error ? <Problem error={issue.error} /> : null}
        <DialogEnd onClose={onClose}>
          <Button type="submit" kind="primary" why={why} busy={issue.isPending}>
            Issue
          </Button>
        </DialogEnd>
      </form>
    </Dialog>
  );
}
