import { useStore } from "~/lib/store";
import { Dialog } from "~/parts/dialog";
import { activeKeys } from "./keys";
import { keysChoice } from "./settings";

/** All shortcuts that hold on the page that is shown. */
export function Help({ onClose }: { onClose: () => void }) {
  const sets = useStore(activeKeys);
  const on = useStore(keysChoice) === "on";
  const seen = new Set<string>();
  const keys = [...sets]
    .reverse()
    .flat()
    .filter((key) => !seen.has(key.keys) && seen.add(key.keys));
  return (
    <Dialog title="Keyboard shortcuts" onClose={onClose}>
      <dl className="grid grid-cols-[auto_1fr] items-center gap-x-4 gap-y-2 text-sm">
        <dt>
          <Keys text="Ctrl K" />
        </dt>
        <dd>search and commands</dd>
        {keys.map((key) => (
          <div key={key.keys} className="contents">
            <dt>
              <Keys text={key.keys} />
            </dt>
            <dd>{key.says}</dd>
          </div>
        ))}
      </dl>
      <label className="mt-4 flex min-h-6 items-center gap-2 border-t pt-3 text-sm">
        <input
          type="checkbox"
          checked={on}
          onChange={(event) => keysChoice.set(event.target.checked ? "on" : "off")}
        />
        Single keys are shortcuts
      </label>
    </Dialog>
  );
}

function Keys({ text }: { text: string }) {
  return (
    <span className="inline-flex gap-1">
      {text.split(" ").map((key) => (
        <kbd key={key} className="code min-w-6 rounded border bg-sunken px-1.5 text-center text-xs leading-5">
          {key}
        </kbd>
      ))}
    </span>
  );
}
