/** N over time, as a line of steps: the last five minutes of what this page has seen. */

const SPAN_S = 300;
const WIDTH = 300;
const HEIGHT = 40;
const MIN_TOP = 4; // replicas that the full height stands for, at least

export class History {
  /** @param {SVGElement} svg with a path, and a title that tells it in words */
  constructor(svg) {
    this.path = svg.querySelector("path");
    this.title = svg.querySelector("title");
    /** @type {{at: number, n: number}[]} when N became what, in seconds */
    this.steps = [];
  }

  /** @param {number} n as of now */
  add(n) {
    const now = performance.now() / 1000;
    if (this.steps.at(-1)?.n !== n) this.steps.push({ at: now, n });
    // The last step before the span says where the line begins.
    while (this.steps.length > 1 && this.steps[1].at < now - SPAN_S) this.steps.shift();
    this.#draw(now);
  }

  #draw(now) {
    const numbers = this.steps.map(({ n }) => n);
    const top = Math.max(MIN_TOP, ...numbers);
    const x = (at) => Math.max(0, (WIDTH * (at - now + SPAN_S)) / SPAN_S).toFixed(1);
    const y = (n) => (HEIGHT - 2 - ((HEIGHT - 4) * n) / top).toFixed(1);
    const [first, ...others] = this.steps;
    const line = others.map(({ at, n }) => `H${x(at)}V${y(n)}`).join("");
    this.path.setAttribute("d", `M${x(first.at)} ${y(first.n)}${line}H${WIDTH}`);
    const [least, most] = [Math.min(...numbers), Math.max(...numbers)];
    const range = least === most ? `${least}` : `from ${least} to ${most}`;
    this.title.textContent = `N over the last five minutes: ${range}, now ${numbers.at(-1)}`;
  }
}
