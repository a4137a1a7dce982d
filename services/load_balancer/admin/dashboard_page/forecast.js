/** What a control would do, told before it does: on hover and focus, on a touch screen by a first tap. */

import { setText } from "./page.js";

const PATIENCE_MS = 120; // a pointer that only passes asks nothing

/** Whose turn it is to be told, by output: only the latest counts. @type {WeakMap<Element, object>} */
const turns = new WeakMap();

/**
 * @param {HTMLElement} control a button, or a field whose value matters
 * @param {HTMLElement} output where it is told
 * @param {() => Promise<string>} tell asked anew each time
 */
export function foretell(control, output, tell) {
  let touched = false;
  let isTold = false;

  async function show() {
    const turn = {};
    turns.set(output, turn);
    isTold = true;
    await new Promise((resolve) => setTimeout(resolve, PATIENCE_MS));
    if (turns.get(output) !== turn) return;
    const text = await tell().catch((error) => error.message);
    if (turns.get(output) === turn) setText(output, text);
  }

  function hide() {
    turns.delete(output);
    isTold = false;
    setText(output, "");
  }

  control.addEventListener("pointerenter", ({ pointerType }) => {
    if (pointerType !== "touch") show();
  });
  control.addEventListener("pointerleave", ({ pointerType }) => {
    if (pointerType !== "touch" && document.activeElement !== control) hide();
  });
  control.addEventListener("focus", () => {
    if (!touched) show();
  });
  control.addEventListener("blur", hide);
  control.addEventListener("input", show);
  control.addEventListener("pointerdown", ({ pointerType }) => {
    touched = pointerType === "touch";
  });
  control.addEventListener(
    "click",
    (event) => {
      if (touched && !isTold && control.tagName === "BUTTON") {
        event.preventDefault();
        event.stopImmediatePropagation();
        show();
      } else if (control.tagName === "BUTTON") {
        hide();
      }
      touched = false;
    },
    { capture: true },
  );
}

/** A share in 0..1 as people read it. */
export const percent = (share) => `${(100 * share).toFixed(1)} %`;
