import { fireEvent, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { SearchField } from "./filters";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("what is typed is searched when typing rests, and not after the page was left", () => {
  const onSearch = vi.fn();
  const { unmount } = render(<SearchField value={undefined} onSearch={onSearch} label="Search" />);
  const field = screen.getByRole("searchbox");
  fireEvent.change(field, { target: { value: "c" } });
  vi.advanceTimersByTime(200);
  fireEvent.change(field, { target: { value: "ca" } });
  vi.advanceTimersByTime(300);
  expect(onSearch.mock.calls).toEqual([["ca"]]);
  fireEvent.change(field, { target: { value: "cart" } });
  unmount();
  vi.advanceTimersByTime(1_000);
  expect(onSearch).toHaveBeenCalledTimes(1);
});

test("Back takes away what was typed and not yet searched", () => {
  const onSearch = vi.fn();
  const { rerender } = render(<SearchField value="one" onSearch={onSearch} label="Search" />);
  fireEvent.change(screen.getByRole("searchbox"), { target: { value: "one two" } });
  rerender(<SearchField value={undefined} onSearch={onSearch} label="Search" />);
  vi.advanceTimersByTime(1_000);
  expect(screen.getByRole<HTMLInputElement>("searchbox").value).toBe("");
  expect(onSearch).not.toHaveBeenCalled();
});
