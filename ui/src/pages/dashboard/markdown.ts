import type { Schema } from "~/api/client";
import { basePath } from "~/lib/base";
import { count, counted, plural } from "~/lib/numbers";
import { oldestMs } from "~/lib/overview";
import { duration } from "~/lib/time";

/** The first sentence of the dashboard as Markdown, for a chat or an issue: its numbers are links to what they count. */
export function sentenceMarkdown(ns: string, said: Schema["Dashboard"]): string {
  const root = `${location.origin}${basePath()}/ns/${encodeURIComponent(ns)}`;
  const link = (text: string, path = "") => `[${text}](${root}${path})`;
  const { tests, queue, runners } = said;
  const oldest = oldestMs(queue, said.as_of);
  const parts = [
    `${link(count(tests.failing), "/tests?state=broken&state=failing")} of ${link(plural(tests.total, "test"), "/tests")} failing` +
      (tests.newly_failing > 0 ? `, ${count(tests.newly_failing)} newly since yesterday` : ""),
    (queue.depth.count === 0
      ? "nothing waits"
      : `queue ${link(counted(queue.depth), "/queue")}${oldest === undefined ? "" : `, oldest ${duration(oldest)}`}`) +
      (queue.stranded > 0 ? `, ${queue.stranded} that no runner takes` : ""),
    `${link(`${count(runners.online)} of ${plural(runners.total, "runner")}`, "/runners")} online`,
  ];
  return `**${link(ns)}**: ${parts.join("; ")}.`;
}
