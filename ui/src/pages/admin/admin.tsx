import { useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { identityQuery, mayAdmin } from "~/api/session";
import { useNow } from "~/app/clock";
import { useNs } from "~/app/namespace";
import { lifeOf } from "~/lib/tokens";
import { Empty, Panel } from "~/parts/basics";
import { PageHead, Tabs } from "~/parts/page-head";
import { Time } from "~/parts/time";
import { Namespaces } from "./namespaces";
import { System } from "./system";
import { Tokens } from "./tokens";

const route = getRouteApi("/ns/$ns/admin");

/** Administration: tokens, namespaces, and the server itself. */
export function Admin() {
  const ns = useNs();
  const { tab = "tokens" } = route.useSearch();
  const { data: identity } = useQuery(identityQuery);
  const now = useNow(false);
  return (
    <>
      <PageHead title="Admin" />
      {identity && lifeOf(identity.token, now.getTime()) === "soon" ? (
        <p role="status" className="rounded-lg bg-warn-soft px-4 py-2.5 text-sm">
          The token with which you are signed in, {identity.token.name}, ends{" "}
          <Time at={identity.token.expires_at} how="both" />.
        </p>
      ) : null}
      <div>
        <Tabs
          label="Parts of the administration"
          current={tab}
          tabs={[
            { id: "tokens", name: "Tokens" },
            { id: "namespaces", name: "Namespaces" },
            { id: "system", name: "System" },
          ]}
          link={(to) => ({
            to: "/ns/$ns/admin",
            params: { ns },
            search: { tab: to === "tokens" ? undefined : to },
          })}
        />
        <div className="pt-4">
          {tab === "tokens" ? (
            identity && !mayAdmin(identity) ? (
              <Panel>
                <Empty title="Tokens need the scope admin">
                  You are signed in as {identity.token.name}, with {identity.token.scopes.join(", ")}.
                </Empty>
              </Panel>
            ) : (
              <Tokens />
            )
          ) : tab === "namespaces" ? (
            <Namespaces />
          ) : (
            <System />
          )}
        </div>
      </div>
    </>
  );
}
