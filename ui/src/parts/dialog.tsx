import { type InputHTMLAttributes, type ReactNode, useId, useLayoutEffect, useRef, useState } from "react";
import { Button } from "./basics";
import { Icon } from "./icons";

/**
 * A modal dialog: the browser's own element, which holds the focus inside and closes on Escape. It is open for as long as it
 * is drawn, and gives the focus back to what opened it.
 */
export function Dialog({
  title,
  onClose,
  children,
  wide = false,
  bare = false,
  stays = false,
}: {
  title: string;
  onClose: () => void;
  children: ReactNode;
  wide?: boolean;
  bare?: boolean;
  /** A click beside it does not close it: it shows what cannot be shown again. */
  stays?: boolean;
}) {
  const ref = useRef<HTMLDialogElement>(null);
  const pressed = useRef<EventTarget>(null);
  const id = useId();
  const [opener] = useState(() => document.activeElement);
  // Before the element is taken out of the page: afterwards closing it would give the focus to nobody.
  useLayoutEffect(() => {
    const dialog = ref.current;
    if (!dialog) return;
    dialog.showModal();
    return () => {
      dialog.close();
      if (opener instanceof HTMLElement && opener.isConnected) opener.focus();
    };
  }, [opener]);
  return (
    // A click on the backdrop is a convenience; Escape and the button do the same by keyboard.
    <dialog
      ref={ref}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onPointerDown={(event) => {
        pressed.current = event.target;
      }}
      onClick={(event) => {
        // Somebody who marks a text and lets go beside the dialog has not clicked there.
        const isBeside = event.target === ref.current && pressed.current === ref.current;
        if (isBeside && !stays) onClose();
      }}
      className={`m-auto mt-[10vh] max-h-[82vh] w-[calc(100vw-24px)] overflow-hidden rounded-xl border bg-surface p-0 text-ink shadow-(--shadow) backdrop:bg-black/35 ${wide ? "max-w-3xl" : "max-w-lg"}`}
    >
      <div className="flex max-h-[82vh] flex-col">
        <div className={bare ? "visually-hidden" : "flex items-center gap-3 border-b py-2.5 pr-2.5 pl-4"}>
          <h2 id={id} className="min-w-0 flex-1 wrap-anywhere">
            {title}
          </h2>
          {bare ? null : (
            <button type="button" className="btn btn-quiet btn-icon" onClick={onClose} aria-label="Close">
              <Icon name="close" size={14} />
            </button>
          )}
        </div>
        <div className={bare ? "min-h-0 overflow-hidden" : "min-h-0 overflow-y-auto p-4"}>{children}</div>
      </div>
    </dialog>
  );
}

/** The end of a form in a dialog: the way back, and what the form does. */
export function DialogEnd({ onClose, children }: { onClose: () => void; children: ReactNode }) {
  return (
    <div className="flex justify-end gap-2">
      <Button onClick={onClose}>Back</Button>
      {children}
    </div>
  );
}

/** A labelled field of a form. */
export function Field({
  label,
  hint,
  error,
  children,
}: {
  label: string;
  hint?: ReactNode;
  error?: string | undefined;
  children: (id: string, describedBy: string | undefined) => ReactNode;
}) {
  const id = useId();
  const about = hint || error ? `${id}-about` : undefined;
  return (
    <div className="flex flex-col gap-1">
      <label htmlFor={id} className="text-sm font-medium">
        {label}
      </label>
      {children(id, about)}
      {about ? (
        <p id={about} className="text-xs">
          {error ? <span className="text-fail">{error} </span> : null}
          {hint ? <span className="text-muted">{hint}</span> : null}
        </p>
      ) : null}
    </div>
  );
}

/** A labelled field of one line, of whichever kind an `input` has. */
export function TextField({
  label,
  hint,
  onChange,
  className = "",
  ...input
}: Omit<InputHTMLAttributes<HTMLInputElement>, "id" | "onChange" | "value"> & {
  label: string;
  hint?: ReactNode;
  value: string;
  onChange: (text: string) => void;
}) {
  return (
    <Field label={label} hint={hint}>
      {(id, about) => (
        <input
          {...input}
          id={id}
          aria-describedby={about}
          className={`input ${className}`}
          onChange={(event) => onChange(event.target.value)}
        />
      )}
    </Field>
  );
}
