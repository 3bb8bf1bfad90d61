import { queryOptions, useQuery } from "@tanstack/react-query";
import { basePath } from "~/lib/base";
import { Facts, Panel } from "~/parts/basics";
import { Loaded, Skeleton } from "~/parts/loaded";

const versionQuery = queryOptions({
  queryKey: ["version"],
  queryFn: async ({ signal }) => {
    const response = await fetch(`${basePath()}/version`, { signal });
    return (await response.json()) as { version: string; api: string; zone_tables: string };
  },
  meta: { live: false },
});

/** What the server is. */
export function System() {
  const query = useQuery(versionQuery);
  return (
    <Panel title="The server" pad>
      <Loaded query={query} what="The version" skeleton={<Skeleton rows={3} />}>
        {(version) => (
          <Facts
            items={[
              ["tstr", version.version],
              ["API", version.api],
              ["Time zone tables", version.zone_tables],
              [
                "Description",
                <a key="d" className="prose-link" href="./docs">
                  the API, for people
                </a>,
              ],
            ]}
          />
        )}
      </Loaded>
    </Panel>
  );
}
