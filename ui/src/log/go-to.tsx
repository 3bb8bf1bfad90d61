import { useState } from "react";
import { count } from "~/lib/numbers";
import { Button } from "~/parts/basics";
import { Dialog, Field } from "~/parts/dialog";

/** Asks for the number of a line. */
export function GoTo({
  last,
  onLine,
  onClose,
}: {
  last: number;
  onLine: (line: number) => void;
  onClose: () => void;
}) {
  const [text, setText] = useState("");
  const line = Number(text);
  const isThere = Number.isInteger(line) && line >= 1 && line <= last;
  return (
    <Dialog title="Go to line" onClose={onClose}>
      <form
        className="flex flex-col gap-3"
        onSubmit={(event) => {
          event.preventDefault();
          if (isThere) onLine(line);
        }}
      >
        <Field label="Line" hint={`from 1 to ${count(last)}`}>
          {(id, about) => (
            <input
              id={id}
              aria-describedby={about}
              className="input"
              inputMode="numeric"
              autoComplete="off"
              autoFocus
              value={text}
              onChange={(event) => setText(event.target.value.trim())}
            />
          )}
        </Field>
        <div className="flex justify-end">
          <Button type="submit" kind="primary" why={isThere ? undefined : "There is no such line"}>
            Go
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
