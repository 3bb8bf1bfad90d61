import { useRouter } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { pageTitle } from "./title";

/**
 * Tells screen readers that another page is shown: a change of route loads no document, so nothing else would. The title
 * is waited for, because the page sets it when it is drawn.
 */
export function Announcer() {
  const router = useRouter();
  const [text, setText] = useState("");
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout>;
    const stop = router.subscribe("onResolved", ({ pathChanged }) => {
      if (!pathChanged) return;
      clearTimeout(timer);
      timer = setTimeout(() => setText(pageTitle.get()), 200);
    });
    return () => {
      clearTimeout(timer);
      stop();
    };
  }, [router]);
  return (
    <div role="status" aria-live="polite" className="visually-hidden">
      {text}
    </div>
  );
}
