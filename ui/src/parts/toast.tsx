import { asApiError } from "~/api/problem";
import { makeStore, useStore } from "~/lib/store";
import { Icon } from "./icons";

interface Toast {
  id: number;
  tone: "done" | "failed";
  text: string;
  detail?: string;
}

const toasts = makeStore<readonly Toast[]>([]);
let next = 1;

function show(toast: Omit<Toast, "id">, forMs: number): void {
  const id = next++;
  toasts.set([...toasts.get().slice(-3), { ...toast, id }]);
  setTimeout(() => dismiss(id), forMs);
}

function dismiss(id: number): void {
  toasts.set(toasts.get().filter((toast) => toast.id !== id));
}

/** Says that an action was done. Only actions have toasts: what a page shows says itself how it is. */
export function done(text: string): void {
  show({ tone: "done", text }, 5_000);
}

/** Says that an action failed, and why. */
export function failed(text: string, thrown: unknown): void {
  const error = asApiError(thrown);
  const trace = error.traceId ? ` (trace ${error.traceId})` : "";
  show({ tone: "failed", text, detail: `${error.detail || error.title}${trace}` }, 12_000);
}

/** Where toasts appear; stands once in the frame. */
export function Toasts() {
  const list = useStore(toasts);
  return (
    <div
      role="status"
      aria-live="polite"
      className="pointer-events-none fixed right-3 bottom-3 left-3 z-50 flex flex-col items-end gap-2"
    >
      {list.map((toast) => (
        <div
          key={toast.id}
          className="panel pointer-events-auto flex max-w-md items-start gap-3 px-4 py-2.5 text-sm shadow-(--shadow)"
        >
          <span className={`mt-0.5 ${toast.tone === "done" ? "text-pass" : "text-fail"}`}>
            <Icon name={toast.tone === "done" ? "check" : "close"} />
          </span>
          <div className="min-w-0">
            <p className="font-medium wrap-anywhere">{toast.text}</p>
            {toast.detail ? <p className="text-muted wrap-anywhere">{toast.detail}</p> : null}
          </div>
          <button
            type="button"
            className="btn btn-quiet btn-icon -my-1 -mr-2"
            onClick={() => dismiss(toast.id)}
            aria-label="Dismiss"
          >
            <Icon name="close" size={12} />
          </button>
        </div>
      ))}
    </div>
  );
}
