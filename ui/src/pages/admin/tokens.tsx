import { useInfiniteQuery } from "@tanstack/react-query";
import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { client, type Schema } from "~/api/client";
import { useAction } from "~/app/action";
import { useNow } from "~/app/clock";
import { plural } from "~/lib/numbers";
import { endingSoon, lifeOf } from "~/lib/tokens";
import { Button, Panel } from "~/parts/basics";
import { Dialog, DialogEnd } from "~/parts/dialog";
import { Loaded, Skeleton } from "~/parts/loaded";
import { More } from "~/parts/more";
import { Badge } from "~/parts/state";
import { Time } from "~/parts/time";
import { IssueToken } from "./issue-token";

const route = getRouteApi("/ns/$ns/admin");
type Token = Schema["Token"];

const SCOPES: Record<Schema["Scope"], string> = {
  admin: "may do everything",
  control: "writes tests and runs",
  data: "reads",
  runner: "executes runs",
};

/** The tokens: who may do what, where, and until when. */
export function Tokens() {
  const { expired, revoked } = route.useSearch();
  const navigate = useNavigate({ from: "/ns/$ns/admin" });
  // `new`, or the token that another one is to replace.
  const [issuing, setIssuing] = useState<Token | "new">();
  const [revoking, setRevoking] = useState<Token>();
  const filter = { include_expired: expired === "true", include_revoked: revoked === "true", page_size: 100 };
  const query = useInfiniteQuery({
    queryKey: ["get", "/api/v1/tokens", filter, "pages"],
    queryFn: async ({ pageParam, signal }) => {
      const { data } = await client.GET("/api/v1/tokens", {
        params: { query: { ...filter, page_token: pageParam || undefined } },
        signal,
      });
      return data!;
    },
    initialPageParam: "",
    getNextPageParam: (page) => page.next_page_token,
    meta: { live: false },
  });
  const tokens = query.data?.pages.flatMap((page) => page.items) ?? [];
  const names = new Map(tokens.map((token) => [token.id, token.name]));
  const box = (name: "expired" | "revoked", on: boolean) => (
    <label className="flex min-h-6 items-center gap-1.5 text-sm">
      <input
        type="checkbox"
        checked={on}
        onChange={(event) =>
          void navigate({
            search: (before) => ({ ...before, [name]: event.target.checked ? "true" : undefined }),
          })
        }
      />
      {name}
    </label>
  );
  return (
    <Panel
      title="Tokens"
      note="Their secrets are shown once and not stored."
      actions={
        <>
          {box("expired", expired === "true")}
          {box("revoked", revoked === "true")}
          <Button kind="primary" onClick={() => setIssuing("new")}>
            Issue a token
          </Button>
        </>
      }
    >
      <Loaded query={query} what="The tokens" skeleton={<Skeleton rows={5} height={22} />}>
        {() => (
          <>
            <EndingSoon tokens={tokens} onReplace={setIssuing} />
            <div className="overflow-x-auto">
              <table className="tbl">
                <thead>
                  <tr>
                    <th className="w-full">Name</th>
                    <th>Scopes</th>
                    <th>Namespaces</th>
                    <th>Used</th>
                    <th>Expires</th>
                    <th>
                      <span className="visually-hidden">Revoke</span>
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {tokens.map((token) => (
                    <TokenRow
                      key={token.id}
                      token={token}
                      by={token.issued_by && (names.get(token.issued_by) ?? token.issued_by)}
                      onReplace={() => setIssuing(token)}
                      onRevoke={() => setRevoking(token)}
                    />
                  ))}
                </tbody>
              </table>
            </div>
            <More query={query} shown={tokens.length} what="token" />
          </>
        )}
      </Loaded>
      {issuing ? (
        <IssueToken like={issuing === "new" ? undefined : issuing} onClose={() => setIssuing(undefined)} />
      ) : null}
      {revoking ? <Revoke token={revoking} onClose={() => setRevoking(undefined)} /> : null}
    </Panel>
  );
}

/** The tokens that end within two weeks, before somebody misses them. */
function EndingSoon({ tokens, onReplace }: { tokens: readonly Token[]; onReplace: (token: Token) => void }) {
  const now = useNow(false);
  const soon = endingSoon(tokens, now.getTime());
  if (soon.length === 0) return null;
  return (
    <div role="status" className="border-b bg-warn-soft px-3.5 py-2 text-sm">
      <p className="font-medium">{plural(soon.length, "token")} that will end within two weeks</p>
      <ul className="mt-1 flex flex-col gap-1">
        {soon.map((token) => (
          <li key={token.id} className="flex flex-wrap items-center gap-x-2">
            <span className="wrap-anywhere">{token.name}</span>
            <span className="text-muted">
              ends <Time at={token.expires_at} how="both" />
              {token.last_used_at ? (
                <>
                  , used <Time at={token.last_used_at} />
                </>
              ) : (
                ", never used"
              )}
            </span>
            <button type="button" className="prose-link min-h-6" onClick={() => onReplace(token)}>
              replace<span className="visually-hidden"> {token.name}</span>
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}

function TokenRow({
  token,
  by,
  onReplace,
  onRevoke,
}: {
  token: Token;
  /** Who issued it: the name of that token, or its id where it is not listed. */
  by: string | undefined;
  onReplace: () => void;
  onRevoke: () => void;
}) {
  const now = useNow(false);
  const life = lifeOf(token, now.getTime());
  const over = life === "revoked" || life === "expired";
  return (
    <tr className={over ? "opacity-65" : ""}>
      <td className="min-w-40 wrap-anywhere">
        <span className="font-medium">{token.name}</span>{" "}
        {life === "revoked" ? (
          <Badge tone="fail">revoked</Badge>
        ) : life === "expired" ? (
          <Badge tone="idle">expired</Badge>
        ) : null}
        <code className="code block text-muted">{token.id}</code>
        <span className="block text-muted">
          issued <Time at={token.created_at} />
          {by ? ` by ${by}` : ""}
        </span>
      </td>
      <td>
        {token.scopes.map((scope) => (
          <span key={scope} className="block whitespace-nowrap">
            <Badge tone={scope === "admin" ? "warn" : "idle"}>{scope}</Badge>{" "}
            <span className="text-muted">{SCOPES[scope]}</span>
          </span>
        ))}
      </td>
      <td>
        {token.namespaces.map((each) => (
          <code key={each} className="code chip mr-1">
            {each}
          </code>
        ))}
      </td>
      <td>
        {token.last_used_at ? <Time at={token.last_used_at} /> : <span className="text-muted">never</span>}
      </td>
      <td>
        <Time at={token.expires_at} />
        {life === "soon" ? (
          <span className="block">
            <Badge tone="warn">soon</Badge>
          </span>
        ) : null}
      </td>
      <td className="py-1">
        {over ? null : (
          <span className="flex gap-1">
            <Button
              onClick={onReplace}
              title="Issue another one like it; this one goes on until it is revoked"
            >
              Replace
              <span className="visually-hidden"> {token.name}</span>
            </Button>
            <Button kind="danger" onClick={onRevoke}>
              Revoke
              <span className="visually-hidden"> {token.name}</span>
            </Button>
          </span>
        )}
      </td>
    </tr>
  );
}

function Revoke({ token, onClose }: { token: Token; onClose: () => void }) {
  const revoke = useAction({
    act: async () => {
      await client.DELETE("/api/v1/tokens/{token}", { params: { path: { token: token.id } } });
    },
    says: `${token.name} is revoked`,
    fails: "Not revoked",
    after: (_, queries) => {
      void queries.invalidateQueries({ queryKey: ["get", "/api/v1/tokens"] });
      onClose();
    },
  });
  return (
    <Dialog title={`Revoke ${token.name}?`} onClose={onClose}>
      <p className="mb-5 text-sm">
        Whoever uses it is refused from now on, runners and sessions included. It cannot be taken back.
        {token.last_used_at ? (
          <>
            {" "}
            It was used <Time at={token.last_used_at} />.
          </>
        ) : (
          " It was never used."
        )}
      </p>
      <DialogEnd onClose={onClose}>
        <Button kind="danger" busy={revoke.isPending} onClick={() => revoke.mutate()}>
          Revoke
        </Button>
      </DialogEnd>
    </Dialog>
  );
}
