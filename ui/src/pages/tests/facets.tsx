import { type ReactNode, useMemo } from "react";
import type { Schema } from "~/api/client";
import { type Facet, facetsOf } from "~/lib/facets";
import { count } from "~/lib/numbers";

/** What the filters of the list are, as far as facets set them. */
export interface Chosen {
  label?: string[] | undefined;
  owner?: string | undefined;
  schedule?: "yes" | "no" | undefined;
}

/** What the listed tests can be told apart by, with their numbers; a press filters, and takes the filter away again. */
export function Facets({
  tests,
  chosen,
  onChoose,
}: {
  tests: readonly Schema["TestDef"][];
  chosen: Chosen;
  onChoose: (change: Chosen) => void;
}) {
  const found = useMemo(() => facetsOf(tests), [tests]);
  const labels = chosen.label ?? [];
  const toggleLabel = (label: string) => {
    const next = labels.includes(label) ? labels.filter((each) => each !== label) : [...labels, label];
    onChoose({ label: next.length > 0 ? next : undefined });
  };
  return (
    <div className="panel grid gap-x-6 gap-y-3 p-3.5 text-sm sm:grid-cols-2 lg:grid-cols-4">
      <Group name="Schedule">
        {(["yes", "no"] as const).map((each) => (
          <Value
            key={each}
            name={each === "yes" ? "with a schedule" : "without one"}
            n={each === "yes" ? found.scheduled : found.unscheduled}
            isOn={chosen.schedule === each}
            onPress={() => onChoose({ schedule: chosen.schedule === each ? undefined : each })}
          />
        ))}
      </Group>
      {found.owners.values.length > 0 ? (
        <Group name="Owner" more={found.owners.more}>
          {found.owners.values.map(({ value, count: n }) => (
            <Value
              key={value}
              name={value}
              n={n}
              isOn={chosen.owner === value}
              onPress={() => onChoose({ owner: chosen.owner === value ? undefined : value })}
            />
          ))}
        </Group>
      ) : null}
      {found.labels.map((facet: Facet) => (
        <Group key={facet.key} name={facet.key} more={facet.more}>
          {facet.values.map(({ value, count: n }) => (
            <Value
              key={value}
              name={value}
              n={n}
              isOn={labels.includes(`${facet.key}=${value}`)}
              onPress={() => toggleLabel(`${facet.key}=${value}`)}
            />
          ))}
        </Group>
      ))}
      {found.labels.length === 0 ? <p className="text-muted">None of these tests has a label.</p> : null}
    </div>
  );
}

function Group({ name, more = 0, children }: { name: string; more?: number; children: ReactNode }) {
  return (
    <fieldset className="min-w-0">
      <legend className="mb-1 font-medium wrap-anywhere">{name}</legend>
      <div className="flex flex-col items-start">{children}</div>
      {more > 0 ? <p className="text-muted">and {count(more)} more</p> : null}
    </fieldset>
  );
}

function Value({ name, n, isOn, onPress }: { name: string; n: number; isOn: boolean; onPress: () => void }) {
  return (
    <button
      type="button"
      aria-pressed={isOn}
      className={`flex min-h-6 w-full items-center gap-2 rounded px-1.5 text-left hover:bg-sunken ${isOn ? "bg-accent-soft font-medium" : ""}`}
      onClick={onPress}
    >
      <span className="min-w-0 flex-1 wrap-anywhere">{name}</span>
      <span className="text-muted">{count(n)}</span>
    </button>
  );
}
