import { count, plural } from "~/lib/numbers";
import { Command } from "./basics";

/** The end of a list by pages: a way to the next page, or the word that there is none. */
export function More({
  query,
  shown,
  what,
}: {
  query: { hasNextPage: boolean; isFetchingNextPage: boolean; fetchNextPage: () => unknown };
  shown: number;
  what: string;
}) {
  return (
    <div className="border-t px-3.5 py-2 text-center text-sm text-muted">
      {query.hasNextPage ? (
        <button
          type="button"
          className="btn"
          aria-disabled={query.isFetchingNextPage}
          onClick={() => void query.fetchNextPage()}
        >
          {query.isFetchingNextPage ? "Loading…" : `${plural(shown, what)} shown: load more`}
        </button>
      ) : (
        `${plural(shown, what)}, and no more`
      )}
    </div>
  );
}

/** The end of a list of which only the beginning is shown: that there is more, and the command that lists all of it. */
export function OnlyFirst({
  page,
  what,
  command,
}: {
  page: { items: readonly unknown[]; next_page_token?: string };
  what: string;
  command: string;
}) {
  if (!page.next_page_token) return null;
  return (
    <div className="flex flex-wrap items-center gap-3 border-t px-3.5 py-2 text-sm text-muted">
      Only the first {count(page.items.length)} {what} are listed; all of them by
      <Command>{command}</Command>
    </div>
  );
}
