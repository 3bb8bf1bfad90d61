import { useState } from "react";
import { client, type Schema } from "~/api/client";
import { useAction } from "~/app/action";
import { Button } from "~/parts/basics";
import { Dialog, DialogEnd, TextField } from "~/parts/dialog";
import { Icon } from "~/parts/icons";

/** Keeping a run, with a word why. */
export function KeepDialog({ run, onClose }: { run: Schema["Run"]; onClose: () => void }) {
  const [note, setNote] = useState("");
  const keep = useAction({
    act: async (text: string) =>
      (
        await client.POST("/api/v1/runs/{run}/keep", {
          params: { path: { run: run.id } },
          body: { note: text || null },
        })
      ).data!,
    says: "Retention leaves it alone",
    fails: "Not kept",
    after: onClose,
  });
  return (
    <Dialog title="Keep this run" onClose={onClose}>
      <form
        className="flex flex-col gap-4"
        onSubmit={(event) => {
          event.preventDefault();
          keep.mutate(note.trim());
        }}
      >
        <TextField
          label="Why (may be left out)"
          hint="Retention leaves the run, its log and its artifacts alone until it is unkept."
          maxLength={200}
          value={note}
          onChange={setNote}
        />
        <DialogEnd onClose={onClose}>
          <Button type="submit" kind="primary" busy={keep.isPending}>
            <Icon name="pin" size={14} /> Keep
          </Button>
        </DialogEnd>
      </form>
    </Dialog>
  );
}
