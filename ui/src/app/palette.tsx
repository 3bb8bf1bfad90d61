import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type KeyboardEvent, useDeferredValue, useEffect, useId, useState } from "react";
import { api } from "~/api/client";
import { identityQuery } from "~/api/session";
import { Dialog } from "~/parts/dialog";
import { Icon, type IconName } from "~/parts/icons";
import { PAGES } from "./frame";
import { useNs } from "./namespace";
import { themeChoice, zoneChoice } from "./settings";

interface Choice {
  id: string;
  icon: IconName;
  name: string;
  note?: string;
  run: () => void;
}

/** So many tests are listed; the rest is a choice that leads to all of them. */
const SHOWN = 8;

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Search and commands: pages, tests by name, runs by id, namespaces, settings. */
export function Palette({ onClose }: { onClose: () => void }) {
  const ns = useNs();
  const navigate = useNavigate();
  const id = useId();
  const [typed, setTyped] = useState("");
  const [at, setAt] = useState<string>();
  const [entered, setEntered] = useState<string>();
  const wanted = typed.trim();
  const q = useDeferredValue(wanted);
  const { data: identity } = useQuery(identityQuery);
  const isSearch = q.length > 0 && !UUID.test(q);
  const {
    data: tests,
    isPending,
    isPlaceholderData,
  } = useQuery({
    ...api.queryOptions("get", "/api/v1/namespaces/{namespace}/tests", {
      params: { path: { namespace: ns }, query: { q, page_size: SHOWN } },
    }),
    enabled: isSearch,
    placeholderData: keepPreviousData,
  });

  // What is listed may still be the answer to what was typed before.
  const isBehind = q !== wanted || (isSearch && (isPending || isPlaceholderData));

  const matches = (text: string) => text.toLowerCase().includes(q.toLowerCase());
  const choices: Choice[] = [];
  if (UUID.test(q)) {
    choices.push({
      id: "run",
      icon: "runs",
      name: `Run ${q}`,
      run: () => void navigate({ to: "/ns/$ns/runs/$run", params: { ns, run: q } }),
    });
  }
  if (isSearch) {
    for (const test of tests?.items ?? []) {
      choices.push({
        id: test.id,
        icon: "tests",
        name: test.name,
        note: "test",
        run: () => void navigate({ to: "/ns/$ns/tests/$test", params: { ns, test: test.name } }),
      });
    }
    if (tests?.next_page_token) {
      choices.push({
        id: "more",
        icon: "tests",
        name: `More tests with «${q}»`,
        note: "list",
        run: () => void navigate({ to: "/ns/$ns/tests", params: { ns }, search: { q } }),
      });
    }
  }
  for (const page of PAGES) {
    choices.push({
      id: page.to,
      icon: page.icon,
      name: `Go to ${page.name}`,
      note: `g ${page.key}`,
      run: () => void navigate({ to: page.to, params: { ns } }),
    });
  }
  for (const each of identity?.namespaces ?? []) {
    if (each !== ns)
      choices.push({
        id: `ns ${each}`,
        icon: "right",
        name: `Namespace ${each}`,
        run: () => void navigate({ to: "/ns/$ns", params: { ns: each } }),
      });
  }
  for (const theme of ["system", "light", "dark"]) {
    choices.push({
      id: `theme ${theme}`,
      icon: "sun",
      name: `Theme: ${theme}`,
      run: () => themeChoice.set(theme),
    });
  }
  for (const zone of ["utc", "local"]) {
    choices.push({
      id: `zone ${zone}`,
      icon: "schedules",
      name: `Times in ${zone === "utc" ? "UTC" : "local time"}`,
      run: () => zoneChoice.set(zone),
    });
  }
  const shown = choices.filter(
    (choice) => choice.note === "test" || choice.id === "run" || matches(choice.name),
  );
  // Chosen is a choice and not a place: what comes in above it must not be taken in its stead.
  const found = shown.findIndex((choice) => choice.id === at);
  const chosen = found >= 0 ? found : Math.min(0, shown.length - 1);

  const take = (choice: Choice | undefined) => {
    if (!choice) return;
    onClose();
    choice.run();
  };
  // Enter was pressed before the answer was there: it means the first of what was typed.
  const isDue = entered !== undefined && entered === wanted && !isBehind;
  // biome-ignore lint/correctness/useExhaustiveDependencies: once, when the answer is there
  useEffect(() => {
    if (isDue) take(shown[chosen]);
  }, [isDue]);
  const onKeyDown = (event: KeyboardEvent) => {
    const moves: Record<string, number> = {
      ArrowDown: chosen + 1,
      ArrowUp: chosen - 1,
      Home: 0,
      End: shown.length - 1,
    };
    const to = moves[event.key];
    if (to !== undefined && shown.length > 0) {
      event.preventDefault();
      setEntered(undefined);
      setAt(shown[(to + shown.length) % shown.length]?.id);
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (isBehind && found < 0) setEntered(wanted);
      else take(shown[chosen]);
    }
  };

  return (
    <Dialog title="Search and commands" onClose={onClose} bare>
      <div className="flex items-center gap-2 border-b px-4">
        <span className="text-muted">
          <Icon name="search" />
        </span>
        <input
          autoFocus
          role="combobox"
          aria-expanded
          aria-controls={`${id}list`}
          aria-activedescendant={shown[chosen] ? `${id}${chosen}` : undefined}
          aria-label="Search tests, runs by id, pages and settings"
          placeholder="A test, a run id, a page…"
          className="min-h-12 w-full bg-transparent outline-none placeholder:text-muted"
          value={typed}
          onChange={(event) => {
            setTyped(event.target.value);
            setAt(undefined);
            setEntered(undefined);
          }}
          onKeyDown={onKeyDown}
        />
      </div>
      <div
        role="listbox"
        id={`${id}list`}
        aria-label="Choices"
        className="max-h-[55vh] overflow-y-auto p-1.5"
      >
        {shown.map((choice, index) => (
          <div
            key={choice.id}
            role="option"
            id={`${id}${index}`}
            aria-selected={index === chosen}
            ref={index === chosen ? (element) => element?.scrollIntoView({ block: "nearest" }) : undefined}
            className={`flex min-h-9 cursor-pointer items-center gap-3 rounded-md px-2.5 text-sm ${index === chosen ? "bg-accent-soft text-accent" : ""}`}
            onPointerMove={() => setAt(choice.id)}
            onClick={() => take(choice)}
          >
            <Icon name={choice.icon} size={14} />
            <span className="min-w-0 flex-1 truncate">{choice.name}</span>
            {choice.note ? <span className="text-xs text-muted">{choice.note}</span> : null}
          </div>
        ))}
      </div>
      {shown.length === 0 && !isBehind ? (
        <p className="px-4 pb-6 text-sm text-muted">Nothing is called like that.</p>
      ) : null}
    </Dialog>
  );
}
