import type { ReactNode } from "react";
import type { Schema } from "~/api/client";
import { stripEscapes } from "~/lib/escapes";
import { safeHref } from "~/lib/markdown";
import { bytes } from "~/lib/numbers";
import { Facts } from "~/parts/basics";
import { Badge, State } from "~/parts/state";
import { Took } from "~/parts/time";

/** Everything that a report says of a case: each attempt with its findings and output. */
export function CaseText({ detail }: { detail: Schema["CaseDetail"] }) {
  const { case: each } = detail;
  return (
    <div className="flex flex-col gap-3 text-sm">
      <div className="flex flex-wrap items-center gap-3">
        <State state={each.status} />
        {each.flaky ? <Badge tone="warn">flaky</Badge> : null}
        {detail.muted ? <Badge tone="idle">muted</Badge> : null}
        {each.duration_ms !== undefined ? <Took ms={each.duration_ms} /> : null}
      </div>
      {each.attempts.map((attempt, index) => (
        <section key={index} className="flex flex-col gap-2" aria-label={`Attempt ${index + 1}`}>
          {each.attempts.length > 1 ? (
            <h3 className="flex items-center gap-2">
              Attempt {index + 1} of {each.attempts.length} <State state={attempt.status} />
            </h3>
          ) : null}
          {attempt.findings?.map((finding, at) => (
            <div key={at} className="rounded-md border">
              <p className="border-b bg-sunken px-3 py-1.5 wrap-anywhere">
                {finding.kind ? <span className="font-medium">{finding.kind}: </span> : null}
                {stripEscapes(finding.message ?? "")}
              </p>
              {finding.text ? <Text excerpt={finding.text} label="What it says" /> : null}
            </div>
          ))}
          <Output name="Standard output" excerpt={attempt.stdout} />
          <Output name="Standard error" excerpt={attempt.stderr} />
        </section>
      ))}
      <Output name="Standard output" excerpt={each.stdout} />
      <Output name="Standard error" excerpt={each.stderr} />
      {each.properties && each.properties.length > 0 ? (
        <section>
          <h3 className="mb-1.5">Properties</h3>
          <Facts items={each.properties.map((property) => [property.name, linked(property.value)])} />
        </section>
      ) : null}
      {each.attachments && each.attachments.length > 0 ? (
        <section>
          <h3 className="mb-1.5">Attachments</h3>
          <ul>
            {each.attachments.map((attachment) => (
              <li key={attachment.path} className="wrap-anywhere">
                <code className="code">{attachment.path}</code> {attachment.name}
              </li>
            ))}
          </ul>
        </section>
      ) : null}
    </div>
  );
}

function linked(value: string): ReactNode {
  const href = safeHref(value);
  return href ? (
    <a className="prose-link" href={href} target="_blank" rel="noopener noreferrer nofollow">
      {value}
    </a>
  ) : (
    value
  );
}

function Output({ name, excerpt }: { name: string; excerpt: Schema["Excerpt"] | undefined }) {
  if (!excerpt?.text) return null;
  return (
    <details className="rounded-md border">
      <summary className="min-h-8 px-3 py-1">{name}</summary>
      <Text excerpt={excerpt} label={name} />
    </details>
  );
}

function Text({ excerpt, label }: { excerpt: Schema["Excerpt"]; label: string }) {
  return (
    <section className="max-h-96 overflow-auto" tabIndex={0} aria-label={label}>
      <pre className="code px-3 py-2 leading-5">{stripEscapes(excerpt.text)}</pre>
      {excerpt.cut_bytes ? (
        <p className="px-3 pb-2 text-warn">{bytes(excerpt.cut_bytes)} more were not kept.</p>
      ) : null}
    </section>
  );
}
