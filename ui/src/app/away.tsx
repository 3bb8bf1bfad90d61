import { reachable } from "~/api/reach";
import { useStore } from "~/lib/store";

/** Says that the server is away: what is shown stays, and what would be sent to it is off. */
export function Away() {
  const isThere = useStore(reachable);
  return (
    <div role="status">
      {isThere ? null : (
        <p className="border-b bg-warn-soft px-4 py-1.5 text-sm">
          {navigator.onLine ? "The server cannot be reached." : "This browser is offline."} What is shown
          stays as it was, and actions are off until it answers again; this page goes on trying.
        </p>
      )}
    </div>
  );
}
