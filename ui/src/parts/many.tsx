import { useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { asApiError } from "~/api/problem";
import { doMany, type Outcome } from "~/lib/many";
import { count, plural } from "~/lib/numbers";
import { Icon } from "./icons";

/** Something that is done with many things, as far as it has come. */
export interface Many<T, R> {
  /** How many there are. */
  total: number;
  outcomes: readonly Outcome<T, R>[];
  isRunning: boolean;
}

/** Whether all further requests would fail the same way: nobody is signed in, nobody may, or nobody answers. */
function isFinal(error: unknown): boolean {
  return [0, 401, 403].includes(asApiError(error).status);
}

/** Does the same with many things, and keeps what became of each. What was begun goes on when the page is left. */
export function useMany<T, R>(): {
  many: Many<T, R> | undefined;
  start: (items: readonly T[], act: (item: T) => Promise<R>) => Promise<readonly Outcome<T, R>[]>;
} {
  const queries = useQueryClient();
  const [many, setMany] = useState<Many<T, R>>();
  const start = async (items: readonly T[], act: (item: T) => Promise<R>) => {
    const outcomes: Outcome<T, R>[] = [];
    const show = (isRunning: boolean) => setMany({ total: items.length, outcomes: [...outcomes], isRunning });
    show(true);
    const tell = (outcome: Outcome<T, R>) => {
      outcomes.push(outcome);
      show(true);
    };
    await doMany(items, act, tell, isFinal);
    show(false);
    void queries.invalidateQueries({ predicate: (query) => query.meta?.live !== false });
    return outcomes;
  };
  return { many, start };
}

/** What became of each of many: how many are done, and those that failed by name, with the reason. */
export function ManyOutcomes<T, R>({
  many,
  name,
  what,
  says,
  of,
}: {
  many: Many<T, R>;
  /** What one of them is called. */
  name: (item: T) => ReactNode;
  /** What they are: `test`. */
  what: string;
  /** What was done with them: `paused`. */
  says: string;
  /** What is told of one that worked; without it these are only counted. */
  of?: (item: T, made: R) => ReactNode;
}) {
  const failed = many.outcomes.filter((each) => each.error !== undefined);
  const worked = many.outcomes.filter((each) => each.error === undefined);
  const left = many.total - many.outcomes.length;
  return (
    <div className="flex flex-col gap-2 text-sm">
      <p role="status">
        <span className="font-medium">
          {plural(worked.length, what)} {says}
        </span>
        {failed.length > 0 ? <span className="text-fail">, {count(failed.length)} failed</span> : null}
        {left > 0 ? `, ${count(left)} ${many.isRunning ? "to come" : "not tried any more"}` : ""}.
      </p>
      {failed.length > 0 ? (
        <ul className="flex max-h-72 flex-col gap-1 overflow-y-auto">
          {failed.map((each, index) => {
            const error = asApiError(each.error);
            return (
              <li key={index} className="flex items-start gap-2 wrap-anywhere">
                <span className="mt-1 text-fail">
                  <Icon name="close" size={12} />
                </span>
                <span className="min-w-0">
                  <span className="font-medium">{name(each.item)}</span>{" "}
                  <span className="text-muted">{error.detail || error.title}</span>
                </span>
              </li>
            );
          })}
        </ul>
      ) : null}
      {of && worked.length > 0 ? (
        <ul className="flex max-h-72 flex-col gap-1 overflow-y-auto">
          {worked.map((each, index) => (
            <li key={index} className="flex items-start gap-2 wrap-anywhere">
              <span className="mt-1 text-pass">
                <Icon name="check" size={12} />
              </span>
              <span className="min-w-0">
                <span className="font-medium">{name(each.item)}</span>{" "}
                <span className="text-muted">{of(each.item, each.made as R)}</span>
              </span>
            </li>
          ))}
        </ul>
      ) : null}
    </div>
  );
}
