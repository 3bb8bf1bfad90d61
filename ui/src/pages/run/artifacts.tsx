import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { api, apiUrl, raw, type Schema } from "~/api/client";
import { asApiError } from "~/api/problem";
import { stripEscapes } from "~/lib/escapes";
import { parseExact, stringifyExact } from "~/lib/exact-json";
import { bytes, count, plural } from "~/lib/numbers";
import { type Node, tree } from "~/lib/tree";
import { Copy, Empty } from "~/parts/basics";
import { Icon } from "~/parts/icons";
import { Loaded } from "~/parts/loaded";
import { Time } from "~/parts/time";

const route = getRouteApi("/ns/$ns/runs/$run");
type File = Schema["Artifact"];

/** Up to here a file is shown in the page; larger ones are for downloading. */
const PREVIEW_BYTES = 512 * 1024;

/** The files that an attempt left behind. */
export function Artifacts({ run, attempt }: { run: Schema["Run"]; attempt: number }) {
  const search = route.useSearch();
  const query = useQuery(
    api.queryOptions("get", "/api/v1/runs/{run}/artifacts", {
      params: { path: { run: run.id }, query: { attempt } },
    }),
  );
  const summary = run.attempts?.find((each) => each.attempt === attempt)?.artifacts ?? run.artifacts;
  if (summary.removed_at || (query.error && asApiError(query.error).code === "expired")) {
    return (
      <Empty title="These artifacts were removed by retention">
        {summary.removed_at ? (
          <>
            On <Time at={summary.removed_at} how="absolute" />. There had been {plural(summary.files, "file")}{" "}
            of {bytes(summary.bytes)}.
          </>
        ) : null}
      </Empty>
    );
  }
  return (
    <Loaded query={query} what="The artifacts">
      {(list) => {
        const file = list.items.find((each) => each.path === search.file);
        return list.items.length + list.notes.length === 0 ? (
          <Empty title="This attempt left no files" command={'cp report.html "$TSTR_ARTIFACTS/"'}>
            Everything in the folder <code className="code">$TSTR_ARTIFACTS</code> is kept, however the run
            ends.
          </Empty>
        ) : (
          <>
            <p className="border-b px-3.5 py-2 text-sm text-muted">
              {plural(list.files, "file")}, {bytes(list.bytes)}
            </p>
            <ul className="py-1 text-sm">
              <Nodes nodes={tree(list.items)} depth={0} run={run} attempt={attempt} shown={search.file} />
            </ul>
            {list.notes.length > 0 ? (
              <ul className="border-t bg-warn-soft px-3.5 py-2 text-sm">
                {list.notes.map((note) => (
                  <li key={note.why + (note.detail ?? "")} className="wrap-anywhere">
                    {plural(Number(note.files), "file")} not kept ({note.why.replaceAll("_", " ")}
                    {note.bytes > 0 ? `, ${bytes(note.bytes)}` : ""}){note.detail ? `: ${note.detail}` : ""}
                    {note.paths ? <span className="text-muted"> {note.paths.join(", ")}</span> : null}
                  </li>
                ))}
              </ul>
            ) : null}
            {file ? <Preview run={run} attempt={attempt} file={file} /> : null}
          </>
        );
      }}
    </Loaded>
  );
}

/** Where a file is, below `/api/v1`. */
function filePath(run: string, file: File): string {
  return `/runs/${run}/artifacts/${file.path.split("/").map(encodeURIComponent).join("/")}`;
}

function fileUrl(run: string, attempt: number, file: File, view: boolean): string {
  return apiUrl(filePath(run, file), { attempt, view: view ? "true" : undefined });
}

function Nodes({
  nodes,
  depth,
  run,
  attempt,
  shown,
}: {
  nodes: Node<File>[];
  depth: number;
  run: Schema["Run"];
  attempt: number;
  shown: string | undefined;
}) {
  return nodes.map((node) => (
    <li key={node.path}>
      {node.file ? (
        <div
          className={`flex min-h-8 items-center gap-2 pr-3 hover:bg-sunken ${shown === node.path ? "bg-accent-soft" : ""}`}
          style={{ paddingLeft: 14 + depth * 18 }}
        >
          <Link
            from="/ns/$ns/runs/$run"
            to="."
            search={(before) => ({ ...before, file: shown === node.path ? undefined : node.path })}
            resetScroll={false}
            className="link inline-flex min-h-6 min-w-0 flex-1 items-center wrap-anywhere text-ink"
          >
            {node.name}
          </Link>
          <span className="whitespace-nowrap text-muted">{bytes(node.bytes)}</span>
          <span className="hidden items-center text-xs text-muted sm:flex">
            <code className="code" title={`sha256 ${node.file.sha256}`}>
              {node.file.sha256.slice(0, 10)}
            </code>
            <Copy text={node.file.sha256} label={`Copy the SHA-256 of ${node.name}`} />
          </span>
          <a
            className="btn btn-quiet btn-icon"
            href={fileUrl(run.id, attempt, node.file, false)}
            download
            aria-label={`Download ${node.name}`}
            title="Download"
          >
            <Icon name="download" size={14} />
          </a>
        </div>
      ) : (
        <details open={depth < 2 || nodes.length < 10}>
          <summary
            className="flex min-h-8 items-center gap-2 pr-3 hover:bg-sunken"
            style={{ paddingLeft: 14 + depth * 18 }}
          >
            <span className="min-w-0 flex-1 wrap-anywhere text-muted">{node.name}/</span>
            <span className="text-muted">{bytes(node.bytes)}</span>
          </summary>
          <ul>
            <Nodes nodes={node.children} depth={depth + 1} run={run} attempt={attempt} shown={shown} />
          </ul>
        </details>
      )}
    </li>
  ));
}

/**
 * A look into a file. Text is shown as text. Everything else opens in a tab of its own, where the server gives it a sandbox
 * without scripts, network and an origin: a test wrote these bytes.
 */
function Preview({ run, attempt, file }: { run: Schema["Run"]; attempt: number; file: File }) {
  const isText =
    /^text\/|json|xml|yaml|javascript|x-sh/.test(file.media_type) && !/html|svg/.test(file.media_type);
  const isImage = /^image\/(png|jpe?g|gif|webp|avif|bmp)$/.test(file.media_type);
  const query = useQuery({
    queryKey: ["artifact", run.id, attempt, file.sha256],
    queryFn: async ({ signal }) => {
      const response = await raw(`${filePath(run.id, file)}?attempt=${attempt}`, {
        headers: file.bytes > PREVIEW_BYTES ? { Range: `bytes=0-${PREVIEW_BYTES - 1}` } : {},
        signal,
      });
      return response.text();
    },
    enabled: isText && file.bytes > 0,
    staleTime: Number.POSITIVE_INFINITY,
    meta: { live: false },
  });
  return (
    <section className="border-t" aria-label={`Preview of ${file.path}`}>
      <div className="flex flex-wrap items-center gap-3 px-3.5 py-2 text-sm">
        <h3 className="wrap-anywhere">{file.path}</h3>
        <span className="text-muted">{file.media_type}</span>
        <a
          className="btn ml-auto"
          href={fileUrl(run.id, attempt, file, true)}
          target="_blank"
          rel="noopener noreferrer"
        >
          <Icon name="external" size={14} /> Open in a sandbox
        </a>
      </div>
      {isImage ? (
        <img
          src={fileUrl(run.id, attempt, file, true)}
          alt={file.path}
          className="max-h-[70vh] max-w-full px-3.5 pb-3.5"
        />
      ) : file.bytes === 0 ? (
        <p className="px-3.5 pb-3 text-sm text-muted">The file is empty.</p>
      ) : isText ? (
        <Loaded query={query} what="The file">
          {(text) => (
            <div className="max-h-[70vh] overflow-auto" tabIndex={0} role="region" aria-label={file.path}>
              <pre className="code px-3.5 pb-3.5 leading-5">{stripEscapes(pretty(file, text))}</pre>
              {file.bytes > PREVIEW_BYTES ? (
                <p className="px-3.5 pb-3 text-sm text-warn">
                  The first {bytes(PREVIEW_BYTES)} of {count(file.bytes)} bytes.
                </p>
              ) : null}
            </div>
          )}
        </Loaded>
      ) : (
        <p className="px-3.5 pb-3 text-sm text-muted">
          Files of this kind are not shown here: download it, or open it in a sandbox.
        </p>
      )}
    </section>
  );
}

/** JSON on one line is laid out, its numbers as they were written; what cannot be read as JSON stays as it is. */
function pretty(file: File, text: string): string {
  if (!file.media_type.includes("json") || text.includes("\n  ")) return text;
  try {
    return stringifyExact(parseExact(text, "as written"), 2);
  } catch {
    return text;
  }
}
