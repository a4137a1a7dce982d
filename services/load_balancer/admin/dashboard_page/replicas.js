/** The table of replicas: one row for each, kept while it stays, so that focus stays too. */

import { call, quantile } from "./api.js";
import { foretell, percent } from "./forecast.js";
import { mark, perform, setText } from "./page.js";

const ACTIONS = {
  crash: {
    send: (hostname) => call("POST", "/crash", { hostname }),
    done: "Killed, not noticed yet.",
    tell: async (hostname, share) =>
      `Crashing ${hostname} moves its ${percent(share)} of the keys to others, until it is replaced.`,
  },
  pause: {
    send: (hostname) => call("POST", "/pause", { hostname }),
    done: "Frozen, not noticed yet.",
    tell: async (hostname, share) =>
      `Pausing ${hostname} keeps ${percent(share)} of the keys waiting until heartbeats are missed; ` +
      "then they move to others.",
  },
  resume: {
    send: (hostname) => call("POST", "/resume", { hostname }),
    done: "Thawed.",
    tell: async (hostname, share) =>
      `Resuming ${hostname} gives it back its ${percent(share)} of the keys, if it was not replaced.`,
  },
  remove: {
    send: (hostname) => call("DELETE", "/rm", { n: 1, hostnames: [hostname] }),
    done: "",
    tell: async (hostname) => {
      const body = { n: 1, hostnames: [hostname] };
      const { moved } = await call("DELETE", "/rm?dry_run=1", body);
      return `Removing ${hostname} moves ${percent(moved)} of the keys.`;
    },
  },
};

export class ReplicaTable {
  /**
   * @param {HTMLElement} body
   * @param {HTMLTemplateElement} template
   * @param {HTMLElement} forecast where is told what a button would do
   * @param {{onPoint: (hostname: string | null) => void, onFocusLost: () => void}} handlers
   *   `onPoint`: the replica whose row the pointer or the focus is in
   */
  constructor(body, template, forecast, { onPoint, onFocusLost }) {
    this.body = body;
    this.template = template;
    this.forecast = forecast;
    this.onPoint = onPoint;
    this.onFocusLost = onFocusLost;
    /** @type {Map<string, Row>} */
    this.rows = new Map();
    /** @type {import("./api.js").Counts | null} */
    this.sample = null;
    /** What had been answered when the routing table changed. @type {Map<string, number>} */
    this.before = new Map();
    this.tableVersion = 0;
  }

  /** @param {import("./ring.js").RingReplica[]} replicas @param {number[]} shares 0..1 each */
  show(replicas, shares) {
    const hostnames = replicas.map(({ hostname }) => hostname);
    for (const [hostname, row] of this.rows) {
      if (hostnames.includes(hostname)) continue;
      const hadFocus = row.element.contains(document.activeElement);
      row.element.remove();
      this.rows.delete(hostname);
      if (hadFocus) this.onFocusLost();
    }
    replicas.forEach((replica, index) => {
      const { hostname } = replica;
      if (!this.rows.has(hostname)) this.rows.set(hostname, this.#newRow(hostname));
      const row = this.rows.get(hostname);
      row.show(replica, shares[index]);
      if (this.body.children[index] !== row.element) {
        this.body.insertBefore(row.element, this.body.children[index] ?? null);
      }
    });
  }

  /** @param {import("./api.js").Counts} counts */
  count(counts) {
    const { atS, tableVersion, replicas } = counts;
    if (tableVersion !== this.tableVersion) {
      this.tableVersion = tableVersion;
      this.before = new Map([...replicas].map(([hostname, { answered }]) => [hostname, answered]));
    }
    const since = (hostname) =>
      (replicas.get(hostname)?.answered ?? 0) - (this.before.get(hostname) ?? 0);
    const all = [...replicas.keys()].reduce((sum, hostname) => sum + since(hostname), 0);
    for (const [hostname, row] of this.rows) {
      const counters = replicas.get(hostname) ?? { answered: 0, inFlight: 0, latency: [] };
      const before = this.sample?.replicas.get(hostname)?.answered ?? 0;
      const elapsedS = this.sample && atS - this.sample.atS;
      const rate = elapsedS > 0 ? Math.max(0, counters.answered - before) / elapsedS : 0;
      row.count(counters, rate, all > 0 ? since(hostname) / all : null);
    }
    this.sample = counts;
  }

  #newRow(hostname) {
    const element = this.template.content.firstElementChild.cloneNode(true);
    const row = new Row(hostname, element, this.forecast);
    for (const [enter, leave] of [["pointerenter", "pointerleave"], ["focusin", "focusout"]]) {
      row.element.addEventListener(enter, () => this.onPoint(hostname));
      row.element.addEventListener(leave, () => this.onPoint(null));
    }
    return row;
  }
}

class Row {
  constructor(hostname, element, forecast) {
    this.element = element;
    this.share = 0;
    this.element.dataset.hostname = hostname;
    this.state = null;
    this.#set(".hostname", hostname);
    this.#find(".group").setAttribute("aria-label", hostname);
    for (const button of element.querySelectorAll("[data-action]")) {
      const { send, done, tell } = ACTIONS[button.dataset.action];
      foretell(button, forecast, () => tell(hostname, this.share));
      button.addEventListener("click", async () => {
        this.#set(".note", "");
        const before = this.state;
        const succeeded = await perform(button, this.#find(".fault"), () => send(hostname));
        if (succeeded && this.state === before) this.#set(".note", done);
      });
    }
  }

  show({ serverId, state, colour }, share) {
    this.#find(".swatch").className = `swatch colour-${colour}`;
    this.#set(".server-id", String(serverId));
    this.share = share;
    this.#set(".share", percent(share));
    if (state !== this.state) {
      this.state = state;
      this.element.dataset.state = state;
      this.#find(".state").replaceChildren(mark(state), state);
      this.#set(".note", "");
      this.#set(".fault", "");
    }
  }

  count({ answered, inFlight, latency }, rate, served) {
    this.#set(".served", served === null ? "–" : percent(served));
    this.#set(".answered", answered.toLocaleString("en"));
    this.#set(".rate", rate < 10 && rate > 0 ? rate.toFixed(1) : String(Math.round(rate)));
    this.#set(".in-flight", String(inFlight));
    this.#set(".p50", milliseconds(quantile(latency, 0.5)));
    this.#set(".p99", milliseconds(quantile(latency, 0.99)));
  }

  #find(selector) {
    return this.element.querySelector(selector);
  }

  #set(selector, text) {
    setText(this.#find(selector), text);
  }
}

function milliseconds(seconds) {
  if (seconds === null) return "–";
  const value = 1000 * seconds;
  return value < 10 ? value.toFixed(1) : Math.round(value).toLocaleString("en");
}
