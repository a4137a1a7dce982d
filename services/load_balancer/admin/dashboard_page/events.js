/** The log of events: newest first, each with its shape, its word and a sentence. */

import { describeRing } from "./describe.js";
import { make, mark } from "./page.js";

const MAX_SHOWN = 200;

const SENTENCES = {
  joined: ({ hostname, server_id }) => `${hostname} joined with server id ${server_id}.`,
  alive: ({ hostname }) => `${hostname} answers heartbeats.`,
  suspect: ({ hostname }) => `${hostname} refused a connection: no requests until it answers.`,
  dead: ({ hostname, after }) =>
    `${hostname} ${after === "missed" ? "stays silent" : "refuses connections"}: ` +
    "its share moves on clockwise.",
  replaced: ({ hostname, by }) =>
    by === hostname ? `A fresh ${hostname} took its place.` : `${by} took the place of ${hostname}.`,
  draining: ({ hostname }) => `${hostname} left the ring and ends its requests.`,
  drained: ({ hostname }) => `${hostname} has stopped.`,
  ejected: ({ hostname, failures, for_s }) =>
    `${hostname} failed ${failures} times in a row: no requests for ${for_s} s.`,
  readmitted: ({ hostname }) => `${hostname} gets requests again.`,
  ended: ({ worker, status }) => `Worker ${worker} ended with status ${status}: another one starts.`,
  ring: ({ num_slots: slots = null, num_virtual_nodes: virtual_nodes, ...others }) => {
    const { id, time, kind, ...parameters } = others;
    const ring = { load_factor: null, ...parameters, slots, virtual_nodes: virtual_nodes ?? null };
    return `Now: ${describeRing(ring)}`;
  },
};

const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });

/** Puts `event` on top of `list`. */
export function logEvent(list, event) {
  const date = new Date(event.time * 1000);
  const time = make("time", clock.format(date));
  time.dateTime = date.toISOString();
  const kind = make("strong", mark(event.kind), event.kind);
  const item = make("li", kind, time, make("span", SENTENCES[event.kind](event)));
  item.dataset.kind = event.kind;
  list.prepend(item);
  if (list.children.length > MAX_SHOWN) list.lastElementChild.remove();
}
