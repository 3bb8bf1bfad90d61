import { fireEvent, render, screen } from "@testing-library/react";
import { StrictMode, useState } from "react";
import { expect, test, vi } from "vitest";
import { Dialog, TextField } from "./dialog";
import { OnlyFirst } from "./more";
import { Time } from "./time";

function Opener({ stays = false }: { stays?: boolean }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <>
      <button type="button" onClick={() => setOpen(true)}>
        Open
      </button>
      {isOpen ? (
        <Dialog title="The secret" onClose={() => setOpen(false)} stays={stays}>
          <input aria-label="Inside" />
        </Dialog>
      ) : null}
    </>
  );
}

function open(stays: boolean) {
  render(
    <StrictMode>
      <Opener stays={stays} />
    </StrictMode>,
  );
  const opener = screen.getByRole("button", { name: "Open" });
  opener.focus();
  fireEvent.click(opener);
  screen.getByLabelText("Inside").focus();
  return { opener, dialog: screen.getByRole("dialog") };
}

test("a dialog gives the focus back to what opened it", () => {
  const { opener } = open(false);
  expect(document.activeElement).not.toBe(opener);
  fireEvent.click(screen.getByRole("button", { name: "Close" }));
  expect(screen.queryByRole("dialog")).toBeNull();
  expect(document.activeElement).toBe(opener);
});

test("a click beside a dialog closes it, but not where a marked text is let go, nor what is shown once", () => {
  const { dialog } = open(false);
  fireEvent.pointerDown(screen.getByLabelText("Inside"));
  fireEvent.click(dialog);
  expect(screen.queryByRole("dialog")).not.toBeNull();
  fireEvent.pointerDown(dialog);
  fireEvent.click(dialog);
  expect(screen.queryByRole("dialog")).toBeNull();
});

test("what is shown once stays when somebody clicks beside it", () => {
  const { dialog } = open(true);
  fireEvent.pointerDown(dialog);
  fireEvent.click(dialog);
  expect(screen.queryByRole("dialog")).not.toBeNull();
});

test("a field of text has its name and what is said about it", () => {
  const onChange = vi.fn();
  render(<TextField label="Owner" hint="Who looks after it." value="" onChange={onChange} maxLength={9} />);
  const field = screen.getByLabelText<HTMLInputElement>("Owner");
  expect(document.getElementById(field.getAttribute("aria-describedby") ?? "")?.textContent).toContain(
    "Who looks",
  );
  expect(field.maxLength).toBe(9);
  fireEvent.change(field, { target: { value: "ada" } });
  expect(onChange).toHaveBeenCalledWith("ada");
});

test("a list that was cut says so, and where the rest is", () => {
  const page = { items: [1, 2, 3] };
  const { container, rerender } = render(
    <OnlyFirst page={page} what="runners" command="tstr ctl runner list" />,
  );
  expect(container.textContent).toBe("");
  rerender(
    <OnlyFirst page={{ ...page, next_page_token: "x" }} what="runners" command="tstr ctl runner list" />,
  );
  expect(container.textContent).toContain("Only the first 3 runners are listed");
  expect(container.textContent).toContain("tstr ctl runner list");
});

test("a time of day has its zone, and what is no time breaks nothing", () => {
  const { container, rerender } = render(<Time at="2026-03-29T01:30:11Z" how="clock" />);
  expect(container.textContent).toBe("01:30:11 UTC");
  rerender(<Time at="yesterday" how="absolute" />);
  expect(container.textContent).toBe("yesterday");
});
