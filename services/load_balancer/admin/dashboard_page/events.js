/** The log of events: newest first, each with its shape, its word and a sentence. */

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
  ring: (event) => {
    const slots = `Now ${event.num_slots.toLocaleString("en")} slots`;
    return event.algorithm === "table"
      ? `${slots}, dealt out by a table; hash ${event.key_hash}.`
      : `${slots}, ${event.num_virtual_nodes} virtual nodes each; ` +
          `hashes ${event.key_hash} and ${event.virtual_node_hash}; ${event.probing} probing.`;
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
