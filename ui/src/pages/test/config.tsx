import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { useMemo } from "react";
import { api, type Schema } from "~/api/client";
import { useNs } from "~/app/namespace";
import { diffLines } from "~/lib/diff";
import { toYaml } from "~/lib/yaml";
import { Copy, Panel } from "~/parts/basics";
import { DiffView } from "~/parts/diff";
import { Loaded, Skeleton } from "~/parts/loaded";
import { OnlyFirst } from "~/parts/more";
import { Time } from "~/parts/time";

const route = getRouteApi("/ns/$ns/tests/$test");

/** The configuration of a test, its versions, and what differs between two of them. */
export function Config({ test }: { test: Schema["TestDef"] }) {
  const ns = useNs();
  const search = route.useSearch();
  const path = { namespace: ns, test: test.name };
  const versions = useQuery(
    api.queryOptions("get", "/api/v1/namespaces/{namespace}/tests/{test}/versions", {
      params: { path, query: { page_size: 100 } },
    }),
  );
  const b = search.b ?? test.version;
  return (
    <div className="grid items-start gap-4 lg:grid-cols-[300px_minmax(0,1fr)]">
      <Panel title="Versions">
        <Loaded query={versions} what="The versions">
          {(page) => (
            <>
              {page.items.length > 1 ? (
                <Pick
                  versions={page.items.map((each) => each.version)}
                  a={search.a ?? page.items.find((each) => each.version < b)?.version ?? b}
                  b={b}
                />
              ) : null}
              <ul className="max-h-[70vh] overflow-y-auto text-sm">
                {page.items.map((version) => (
                  <li
                    key={version.version}
                    className={`border-b px-3.5 py-1.5 last:border-b-0 ${version.version === b ? "bg-accent-soft" : ""}`}
                  >
                    <div className="flex items-center gap-3">
                      <Link
                        from="/ns/$ns/tests/$test"
                        to="."
                        search={{ tab: "config", b: version.version }}
                        resetScroll={false}
                        className="link inline-flex min-h-6 items-center font-medium"
                        aria-current={version.version === b ? "true" : undefined}
                      >
                        v{version.version}
                      </Link>
                      <span className="text-muted">
                        <Time at={version.changed_at} />
                      </span>
                      {version.version > 1 ? (
                        <Link
                          from="/ns/$ns/tests/$test"
                          to="."
                          search={{ tab: "config", a: version.version - 1, b: version.version }}
                          resetScroll={false}
                          className="link ml-auto inline-flex min-h-6 items-center"
                        >
                          what changed
                        </Link>
                      ) : null}
                    </div>
                    {version.changed_by ? (
                      <p className="text-muted wrap-anywhere">by {version.changed_by}</p>
                    ) : null}
                  </li>
                ))}
              </ul>
            </>
          )}
        </Loaded>
        {versions.data ? (
          <OnlyFirst
            page={versions.data}
            what="versions"
            command={`tstr ctl test versions ${test.name} --namespace ${ns}`}
          />
        ) : null}
      </Panel>
      {search.a !== undefined ? (
        <Diff path={path} a={search.a} b={b} />
      ) : (
        <Document path={path} version={b} />
      )}
    </div>
  );
}

/** Any two versions to compare. */
function Pick({ versions, a, b }: { versions: number[]; a: number; b: number }) {
  const navigate = useNavigate({ from: "/ns/$ns/tests/$test" });
  const choose = (next: { a: number; b: number }) =>
    void navigate({ search: { tab: "config", ...next }, resetScroll: false });
  const select = (label: string, value: number, onChoose: (version: number) => void) => (
    <select
      className="input"
      aria-label={label}
      value={value}
      onChange={(event) => onChoose(Number(event.target.value))}
    >
      {(versions.includes(value) ? versions : [value, ...versions]).map((each) => (
        <option key={each} value={each}>
          v{each}
        </option>
      ))}
    </select>
  );
  return (
    <div className="flex flex-wrap items-center gap-2 border-b px-3.5 py-2 text-sm">
      From {select("Compare from version", a, (next) => choose({ a: next, b }))} to{" "}
      {select("Compare to version", b, (next) => choose({ a, b: next }))}
    </div>
  );
}

type Path = { namespace: string; test: string };

const versionQuery = (path: Path, version: number) => ({
  ...api.queryOptions("get", "/api/v1/namespaces/{namespace}/tests/{test}/versions/{version}", {
    params: { path: { ...path, version } },
  }),
  // A version never changes.
  staleTime: Number.POSITIVE_INFINITY,
  meta: { live: false },
});

function Document({ path, version }: { path: Path; version: number }) {
  const query = useQuery(versionQuery(path, version));
  const text = query.data?.spec ? toYaml(query.data.spec) : "";
  return (
    <Panel
      title={`Version ${version}`}
      note="as tstr ctl test apply reads it"
      actions={
        <>
          <Copy text={text}>Copy YAML</Copy>
          <Copy text={`tstr ctl test apply --namespace ${path.namespace} -f - <<'YAML'\n${text}YAML\n`}>
            Copy command
          </Copy>
        </>
      }
    >
      <Loaded query={query} what="The version" skeleton={<Skeleton rows={12} />}>
        {() => (
          <section className="overflow-x-auto p-4" tabIndex={0} aria-label={`Version ${version} as YAML`}>
            <pre className="code leading-5">{text}</pre>
          </section>
        )}
      </Loaded>
    </Panel>
  );
}

function Diff({ path, a, b }: { path: Path; a: number; b: number }) {
  const before = useQuery(versionQuery(path, a));
  const after = useQuery(versionQuery(path, b));
  const lines = useMemo(() => {
    if (!before.data?.spec || !after.data?.spec) return [];
    return diffLines(
      toYaml(before.data.spec).trimEnd().split("\n"),
      toYaml(after.data.spec).trimEnd().split("\n"),
    );
  }, [before.data, after.data]);
  return (
    <Panel title={`What changed from version ${a} to ${b}`}>
      <Loaded query={before} what={`Version ${a}`}>
        {() => (
          <Loaded query={after} what={`Version ${b}`}>
            {() => <DiffView lines={lines} label={`Differences of versions ${a} and ${b}`} />}
          </Loaded>
        )}
      </Loaded>
    </Panel>
  );
}
