import type { ReactNode } from "react";
import { type Block, type Inline, parseMarkdown } from "~/lib/markdown";

/** Markdown that a test wrote, as elements. No HTML of the test gets in: only what `parseMarkdown` knows becomes one. */
export function Markdown({ text }: { text: string }) {
  return <div className="prose max-w-[80ch] wrap-anywhere">{parseMarkdown(text).map(block)}</div>;
}

function block(each: Block, key: number): ReactNode {
  switch (each.kind) {
    case "heading": {
      // The page has its own h1 and h2, so headings of a summary go below them.
      const Tag = each.level <= 1 ? "h3" : "h4";
      return <Tag key={key}>{each.children.map(inline)}</Tag>;
    }
    case "paragraph":
      return <p key={key}>{each.children.map(inline)}</p>;
    case "code":
      return (
        <pre key={key} tabIndex={0}>
          <code>{each.text}</code>
        </pre>
      );
    case "quote":
      return <blockquote key={key}>{each.children.map(block)}</blockquote>;
    case "list": {
      const items = each.items.map((item, index) => (
        <li key={index}>
          {item.done === undefined ? null : <span aria-hidden="true">{item.done ? "☑ " : "☐ "}</span>}
          {item.done === undefined ? null : (
            <span className="visually-hidden">{item.done ? "done: " : "to do: "}</span>
          )}
          {item.children.map((child, at) =>
            child.kind === "paragraph" ? (
              <span key={at}>{child.children.map(inline)}</span>
            ) : (
              block(child, at)
            ),
          )}
        </li>
      ));
      return each.ordered ? (
        <ol key={key} start={each.start}>
          {items}
        </ol>
      ) : (
        <ul key={key}>{items}</ul>
      );
    }
    case "table":
      return (
        <section key={key} className="overflow-x-auto" tabIndex={0} aria-label="Table">
          <table>
            <thead>
              <tr>
                {each.head.map((cell, at) => (
                  <th key={at}>{cell.map(inline)}</th>
                ))}
              </tr>
            </thead>
            <tbody>
              {each.rows.map((row, at) => (
                <tr key={at}>
                  {row.map((cell, column) => (
                    <td key={column}>{cell.map(inline)}</td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      );
    default:
      return <hr key={key} />;
  }
}

function inline(each: Inline, key: number): ReactNode {
  switch (each.kind) {
    case "text":
      return each.text;
    case "code":
      return <code key={key}>{each.text}</code>;
    case "strong":
      return <strong key={key}>{each.children.map(inline)}</strong>;
    case "em":
      return <em key={key}>{each.children.map(inline)}</em>;
    case "del":
      return <del key={key}>{each.children.map(inline)}</del>;
    case "link":
      return (
        <a key={key} href={each.href} target="_blank" rel="noopener noreferrer nofollow">
          {each.children.map(inline)}
        </a>
      );
    default:
      return <br key={key} />;
  }
}
