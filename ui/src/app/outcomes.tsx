import type { ErrorComponentProps } from "@tanstack/react-router";
import { useRouter } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { probe, reachable } from "~/api/reach";
import { Problem } from "~/parts/loaded";

/** What stands at an address that the app does not know. */
export function NoPage() {
  return (
    <div className="mx-auto max-w-xl px-4 py-16 text-center">
      <h1>There is no such page</h1>
      <p className="mt-2 text-muted">
        The address may have a typing error in it, or come from a newer version.
      </p>
      <a className="btn mt-4" href="./">
        To the start
      </a>
    </div>
  );
}

/** Whether a page could not be loaded because its file did not come. */
function isMissingFile(error: unknown): boolean {
  return (
    error instanceof Error && /dynamically imported module|module script|preload CSS/i.test(error.message)
  );
}

/** What stands in the place of a page whose file did not come: the server is away, or has other files by now. */
function FileMissing({ onRetry }: { onRetry: () => void }) {
  const [isThere, setThere] = useState<boolean>();
  useEffect(() => void probe().then(() => setThere(reachable.get())), []);
  return (
    <div role="alert" className="mx-auto max-w-xl px-4 py-16 text-center">
      <h1>This page could not be loaded</h1>
      <p className="mt-2 text-muted">
        {isThere
          ? "Its file did not come, though the server is there: it may have a newer version by now. A browser asks for a file once."
          : "Its file did not come, and the server does not answer."}
      </p>
      <div className="mt-4 flex justify-center gap-2">
        {isThere ? (
          <button type="button" className="btn btn-primary" onClick={() => location.reload()}>
            Load everything anew
          </button>
        ) : (
          <button type="button" className="btn" onClick={onRetry}>
            Try again
          </button>
        )}
      </div>
    </div>
  );
}

/** What stands in the place of a page that broke. */
export function PageFailed({ error, reset }: ErrorComponentProps) {
  const router = useRouter();
  const retry = () => {
    reset();
    void router.invalidate();
  };
  if (isMissingFile(error)) return <FileMissing onRetry={retry} />;
  return (
    <div className="panel mx-auto my-8 max-w-2xl">
      <Problem error={error} onRetry={retry} />
    </div>
  );
}
