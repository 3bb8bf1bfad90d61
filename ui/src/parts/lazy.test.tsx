import { act, fireEvent, render, screen } from "@testing-library/react";
import { Component, type ReactNode, Suspense } from "react";
import { expect, test, vi } from "vitest";
import { lazy } from "./lazy";

class Boundary extends Component<{ children: ReactNode }, { isBroken: boolean }> {
  override state = { isBroken: false };
  static getDerivedStateFromError() {
    return { isBroken: true };
  }
  override render() {
    if (!this.state.isBroken) return this.props.children;
    return (
      <button type="button" onClick={() => this.setState({ isBroken: false })}>
        Try again
      </button>
    );
  }
}

test("a file that did not come is told, once, and asked for again when somebody tries again", async () => {
  vi.spyOn(console, "error").mockImplementation(() => {});
  let asked = 0;
  let isThere = false;
  const Part = lazy(async () => {
    asked += 1;
    if (!isThere) throw new TypeError("Failed to fetch dynamically imported module");
    return { default: ({ name }: { name: string }) => <p>here is {name}</p> };
  });
  await act(
    async () =>
      void render(
        <Boundary>
          <Suspense fallback="loading">
            <Part name="ada" />
          </Suspense>
        </Boundary>,
      ),
  );
  const again = await screen.findByRole("button");
  await act(() => new Promise((done) => setTimeout(done, 1_200)));
  expect(asked).toBe(1);
  isThere = true;
  await act(async () => void fireEvent.click(again));
  expect(await screen.findByText("here is ada")).toBeTruthy();
  expect(asked).toBe(2);
});
