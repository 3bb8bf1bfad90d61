import { plural } from "~/lib/numbers";

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
