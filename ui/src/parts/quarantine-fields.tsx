import type { Schema } from "~/api/client";
import { Field, TextField } from "./dialog";

/** What a quarantine needs: what happens, who looks after it, why, and until when. */
export interface QuarantineWish {
  mode: Schema["Mode"];
  owner: string;
  reason: string;
  days: string;
}

/** A wish in which nothing is said yet but who the owner probably is. */
export function newQuarantine(owner = ""): QuarantineWish {
  return { mode: "mute", owner, reason: "", days: "14" };
}

/** Why a quarantine cannot be asked for yet. */
export function lackOf({ owner, reason, days }: QuarantineWish): string | undefined {
  if (!owner.trim()) return "An owner is needed";
  if (!reason.trim()) return "A reason is needed";
  return Number(days) >= 1 && Number(days) <= 90 ? undefined : "It lasts from 1 to 90 days";
}

/** The wish as the API takes it. */
export function quarantineBody({ mode, owner, reason, days }: QuarantineWish): Schema["PutQuarantine"] {
  return { mode, owner: owner.trim(), reason: reason.trim(), days: Number(days) };
}

/** The fields of a quarantine. Nothing is muted without an owner, a reason and an end: that is where tests are forgotten. */
export function QuarantineFields({
  wish,
  onChange,
}: {
  wish: QuarantineWish;
  onChange: (wish: QuarantineWish) => void;
}) {
  return (
    <>
      <Field label="What happens">
        {(id) => (
          <select
            id={id}
            className="input w-full"
            value={wish.mode}
            onChange={(event) => onChange({ ...wish, mode: event.target.value as Schema["Mode"] })}
          >
            <option value="mute">Mute: it runs, and its failure does not fail the run</option>
            <option value="skip">Skip: the container is told to leave it out</option>
          </select>
        )}
      </Field>
      <TextField
        label="Owner"
        hint="Who looks after it."
        required
        maxLength={200}
        value={wish.owner}
        onChange={(owner) => onChange({ ...wish, owner })}
      />
      <TextField
        label="Reason"
        required
        maxLength={1000}
        value={wish.reason}
        onChange={(reason) => onChange({ ...wish, reason })}
      />
      <TextField
        label="For how many days"
        hint="At most 90 from here; adding it again renews it."
        type="number"
        min={1}
        max={90}
        required
        className="w-24"
        value={wish.days}
        onChange={(days) => onChange({ ...wish, days })}
      />
    </>
  );
}
