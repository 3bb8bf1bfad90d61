import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { act, renderHook } from "@testing-library/react";
import type { ReactNode } from "react";
import { expect, test } from "vitest";
import { ApiError } from "~/api/problem";
import { type Nothing, useAction } from "./action";

function failure(status: number) {
  return new ApiError(status, status === 0 ? "network" : "invalid", "no", "", undefined, status === 0);
}

test("what was not answered is the same when it is pressed again, and what was refused or done is not", async () => {
  const keys: string[] = [];
  const answers = [failure(0), failure(503), failure(422), undefined, undefined];
  const { result } = renderHook(
    () =>
      useAction({
        act: async (_: Nothing, key) => {
          keys.push(key);
          const error = answers.shift();
          if (error) throw error;
        },
        says: "done",
        fails: "not done",
      }),
    {
      wrapper: ({ children }: { children: ReactNode }) => (
        <QueryClientProvider client={new QueryClient()}>{children}</QueryClientProvider>
      ),
    },
  );
  for (let press = 0; press < 5; press++)
    await act(async () => {
      await result.current.mutateAsync().catch(() => {});
    });
  const [lost, unavailable, refused, done, next] = keys;
  expect([unavailable, refused]).toEqual([lost, lost]);
  expect(new Set([lost, done, next]).size).toBe(3);
});
