import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { api, type Schema } from "~/api/client";
import { testQuery } from "~/api/queries";
import { useNs } from "~/app/namespace";
import { sameConfig, versionAt } from "~/lib/versions";

/**
 * Which version of its test a run executes, which one the test has now, and what lies between them. A run does not carry the
 * number: it is that of the instant at which the run was made, unless the run repeats another one with its configuration.
 */
export function ConfigVersion({ run }: { run: Schema["Run"] }) {
  const ns = useNs();
  const path = { namespace: ns, test: run.test_id };
  // The test may be deleted; that is told, and nothing is wrong with the run.
  const { data: test, error } = useQuery({ ...testQuery(ns, run.test_id), retry: false });
  const { data: versions } = useQuery({
    ...api.queryOptions("get", "/api/v1/namespaces/{namespace}/tests/{test}/versions", {
      params: { path, query: { page_size: 100 } },
    }),
    enabled: test !== undefined,
    retry: false,
  });
  const then = versions ? versionAt(versions.items, run.created_at) : undefined;
  // The cells of a matrix that are made again count as triggered by hand, so what a person made is compared.
  const isCompared = run.trigger === "manual" && then !== undefined && then !== test?.version;
  const { data: doc } = useQuery({
    ...api.queryOptions("get", "/api/v1/namespaces/{namespace}/tests/{test}/versions/{version}", {
      params: { path: { ...path, version: then ?? 0 } },
    }),
    enabled: isCompared,
    staleTime: Number.POSITIVE_INFINITY,
    meta: { live: false },
    retry: false,
  });
  if (!test) return error ? <span className="text-muted">its test cannot be read any more</span> : <>–</>;
  if (!versions || (isCompared && !doc)) return <>–</>;
  const spec = isCompared ? doc?.spec?.run_config : test.run_config;
  const isRepeat =
    run.trigger === "retry" ||
    (run.trigger === "manual" &&
      then !== undefined &&
      spec !== undefined &&
      !sameConfig(spec, run.run_config));
  if (isRepeat) {
    const isNow = sameConfig(test.run_config, run.run_config);
    return (
      <>
        that of the run it repeats,{" "}
        <Link
          className="link"
          to="/ns/$ns/tests/$test"
          params={{ ns, test: test.name }}
          search={{ tab: "config" }}
        >
          {isNow ? `as v${test.version} has it now` : `not that of v${test.version}, which the test has now`}
        </Link>
      </>
    );
  }
  if (then === undefined) {
    return (
      <>
        a version that is kept no more; the test has{" "}
        <Link
          className="link"
          to="/ns/$ns/tests/$test"
          params={{ ns, test: test.name }}
          search={{ tab: "config" }}
        >
          v{test.version}
        </Link>{" "}
        now
      </>
    );
  }
  return (
    <>
      <Link
        className="link"
        to="/ns/$ns/tests/$test"
        params={{ ns, test: test.name }}
        search={{ tab: "config", b: then }}
      >
        v{then}
      </Link>
      {then === test.version ? (
        <span className="text-muted">, as the test has it now</span>
      ) : (
        <>
          , now v{test.version}:{" "}
          <Link
            className="link"
            to="/ns/$ns/tests/$test"
            params={{ ns, test: test.name }}
            search={{ tab: "config", a: then, b: test.version }}
          >
            what changed
          </Link>
        </>
      )}
    </>
  );
}
