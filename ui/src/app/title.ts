import { useEffect } from "react";
import { makeStore } from "~/lib/store";

/** The title of the page that is shown; what the announcer reads out. */
export const pageTitle = makeStore("tstr");

/** Names the page: in the tab, in the history, and to screen readers. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = title ? `${title} · tstr` : "tstr";
    pageTitle.set(title);
  }, [title]);
}
