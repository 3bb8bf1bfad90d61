import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useId, useState } from "react";
import { identityQuery, signOut } from "~/api/session";
import { useStore } from "~/lib/store";
import { zoneName } from "~/lib/time";
import { Icon, type IconName } from "~/parts/icons";
import { Time } from "~/parts/time";
import { failed } from "~/parts/toast";
import { keysChoice, themeChoice, zoneChoice } from "./settings";

const THEMES: [string, string, IconName][] = [
  ["system", "System", "system"],
  ["light", "Light", "sun"],
  ["dark", "Dark", "moon"],
];

/** A few zones to begin with; the list of all is the browser's. */
function zones(chosen: string): string[] {
  const all = Intl.supportedValuesOf?.("timeZone") ?? [];
  return chosen === "utc" || chosen === "local" || all.includes(chosen) ? all : [chosen, ...all];
}

/** Who is signed in, and how things are shown. The browser's own popover: it closes on Escape and on a click beside. */
export function UserMenu({ onHelp }: { onHelp: () => void }) {
  const id = useId();
  const { data: identity } = useQuery(identityQuery);
  const queries = useQueryClient();
  const navigate = useNavigate();
  const theme = useStore(themeChoice);
  const zone = useStore(zoneChoice);
  const keys = useStore(keysChoice);
  const [isOpen, setOpen] = useState(false);

  const leave = async () => {
    try {
      await signOut();
      // First away from the pages, which would ask again for what is cleared.
      await navigate({ to: "/signin", search: {} });
      queries.clear();
    } catch (thrown) {
      failed("Not signed out", thrown);
    }
  };

  return (
    <>
      <button
        type="button"
        className="btn btn-quiet btn-icon"
        popoverTarget={id}
        aria-label="You and settings"
        title="You and settings"
      >
        <Icon name="user" />
      </button>
      <div
        id={id}
        popover="auto"
        // Four hundred zones are in the page only while somebody may choose one.
        onBeforeToggle={(event) => setOpen(event.newState === "open")}
        className="panel fixed inset-auto top-12 right-2 m-0 w-72 p-0 text-ink shadow-(--shadow)"
      >
        {identity ? (
          <div className="border-b px-4 py-3 text-sm">
            <p className="font-medium wrap-anywhere">{identity.token.name}</p>
            <p className="text-muted">
              {identity.token.scopes.join(", ")}; expires <Time at={identity.token.expires_at} />
            </p>
          </div>
        ) : null}
        <div className="flex flex-col gap-3 px-4 py-3 text-sm">
          <fieldset>
            <legend className="mb-1 text-muted">Theme</legend>
            <div className="flex gap-1">
              {THEMES.map(([value, name, icon]) => (
                <label
                  key={value}
                  className={`btn flex-1 has-focus-visible:outline-2 has-focus-visible:outline-accent ${theme === value ? "border-accent bg-accent-soft text-accent" : ""}`}
                >
                  <input
                    type="radio"
                    name={`${id}theme`}
                    className="visually-hidden"
                    checked={theme === value}
                    onChange={() => themeChoice.set(value)}
                  />
                  <Icon name={icon} size={14} /> {name}
                </label>
              ))}
            </div>
          </fieldset>
          <label className="flex flex-col gap-1">
            <span className="text-muted">Times are shown in</span>
            <select className="input" value={zone} onChange={(event) => zoneChoice.set(event.target.value)}>
              <option value="utc">UTC</option>
              <option value="local">Local: {zoneName("local")}</option>
              {(isOpen ? zones(zone) : zone === "utc" || zone === "local" ? [] : [zone]).map((name) => (
                <option key={name}>{name}</option>
              ))}
            </select>
          </label>
          <label className="flex min-h-6 items-center gap-2">
            <input
              type="checkbox"
              checked={keys === "on"}
              onChange={(event) => keysChoice.set(event.target.checked ? "on" : "off")}
            />
            Single-key shortcuts
          </label>
        </div>
        <div className="flex flex-col border-t p-1.5 text-sm">
          <button
            type="button"
            className="rounded px-2.5 py-1.5 text-left hover:bg-sunken"
            popoverTarget={id}
            popoverTargetAction="hide"
            onClick={onHelp}
          >
            Keyboard shortcuts
          </button>
          <a className="rounded px-2.5 py-1.5 hover:bg-sunken" href="./docs">
            The API
          </a>
          <button type="button" className="rounded px-2.5 py-1.5 text-left hover:bg-sunken" onClick={leave}>
            Sign out
          </button>
        </div>
      </div>
    </>
  );
}
