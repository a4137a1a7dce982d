/** Small things that every part of the page uses. */

/** @returns {HTMLElement} */
export const element = (id) => document.getElementById(id);

/** Leaves alone what says the same already: screen readers would read it again. */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** The same for content that is made anew. @param {Node[]} content */
export function setContent(target, content) {
  const fresh = target.cloneNode(false);
  fresh.append(...content);
  if (!target.isEqualNode(fresh)) target.replaceChildren(...fresh.childNodes);
}

/** @param {string} name of the element @param {...(Node | string)} content */
export function make(name, ...content) {
  const made = document.createElement(name);
  made.append(...content);
  return made;
}

/** A patch of a replica's colour. */
export function swatch(colour) {
  const patch = make("span");
  patch.className = `swatch colour-${colour}`;
  return patch;
}

/** The shape of a state or kind of event. */
export function mark(kind) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#mark-${kind}`);
  svg.setAttribute("class", `mark mark-${kind}`);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

/**
 * Runs what a button stands for; once at a time. An error is shown in `fault`, beside it.
 * @returns {Promise<boolean>} whether it was done
 */
export async function perform(button, fault, action) {
  // aria-disabled, because a disabled button would lose the focus.
  if (button.getAttribute("aria-disabled") === "true") return false;
  button.setAttribute("aria-disabled", "true");
  setText(fault, "");
  try {
    await action();
    return true;
  } catch (error) {
    setText(fault, error.message);
    return false;
  } finally {
    button.removeAttribute("aria-disabled");
  }
}

/** `work`, never twice at a time: who asks meanwhile gets one more run after it. */
export function coalesced(work) {
  let running = false;
  let wanted = false;
  return async () => {
    wanted = true;
    if (running) return;
    running = true;
    try {
      while (wanted) {
        wanted = false;
        await work();
      }
    } finally {
      running = false;
    }
  };
}
