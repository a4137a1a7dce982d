/** The live page: reads the lab over the admin API, like anybody else, and shows it. */

import { call, follow, readMetrics } from "./api.js";
import { describeRing } from "./describe.js";
import { logEvent } from "./events.js";
import { foretell, percent } from "./forecast.js";
import { History } from "./history.js";
import { coalesced, element, perform, setText } from "./page.js";
import { ReplicaTable } from "./replicas.js";
import { drawRing, land, NUM_COLOURS, owners, parts, slotCounts } from "./ring.js";
import { describeRoute } from "./route.js";
import { sendRequests } from "./traffic.js";

const POLL_MS = 1000;

/** Hostname → colour, kept while the replica stays. @type {Map<string, number>} */
const colours = new Map();
/** What the ring's picture shows. @type {Parameters<typeof drawRing>[1] | null} */
let view = null;
let configText = "";
/** Hostname of the row that pointer or focus is in. @type {string | null} */
let pointedAt = null;
/** The request id whose way is shown. @type {string | null} */
let routeId = null;
let tableVersion = 0;
let countedAt = -Infinity;
/** What does not work now; "" for what does. */
const troubles = { answers: "", events: "Connecting." };

const table = new ReplicaTable(
  element("replicas"),
  element("replica-row"),
  element("replicas-forecast"),
  {
    onPoint(hostname) {
      pointedAt = hostname;
      fadeOthers();
    },
    onFocusLost: () => element("add-hostname").focus(),
  },
);
const history = new History(element("history"));
/** N as of the last refresh. @type {number | null} */
let numReplicas = null;

const refresh = coalesced(async () => {
  const id = routeId;
  try {
    const [ring, present, route] = await Promise.all([
      call("GET", "/ring"),
      call("GET", "/rep"),
      id === null ? null : askRoute(id).catch(() => null), // with the last replica goes the way
    ]);
    numReplicas = present.N;
    show(ring);
    if (id === routeId) showRoute(id, route);
    else refresh(); // another was asked for meanwhile
    setTrouble("answers", "");
  } catch (error) {
    tableVersion = 0; // the next poll comes here again
    setTrouble("answers", error.message);
  }
});

function show(ring) {
  const replicas = readReplicas(ring);
  const hasSlots = ring.slots !== null;
  const owner = hasSlots ? owners(ring.slots, replicas) : parts(replicas);
  showMoved(ring, replicas, owner);
  view = { algorithm: ring.algorithm, hasSlots, replicas, owner, route: null };
  const counts = slotCounts(owner, replicas.length);
  const shares = hasSlots
    ? counts.map((count) => count / ring.slots)
    : replicas.map(({ share }) => share);
  setText(element("num-replicas"), String(numReplicas));
  element("no-replicas").hidden = replicas.length > 0;
  table.show(replicas, shares);
  const summary = replicas.map(
    ({ hostname, state }, index) => `${hostname} (${state}) ${(100 * shares[index]).toFixed(1)} %`,
  );
  const what = hasSlots ? `Ring of ${ring.slots} slots` : `Shares by ${ring.algorithm}`;
  setText(element("ring-summary"), `${what}: ${summary.join(", ") || "empty"}`);
  for (const button of ringButtons()) {
    const { preset, algorithm } = button.dataset;
    const isPresent = preset ? preset === ring.preset : algorithm === ring.algorithm;
    button.setAttribute("aria-pressed", String(isPresent));
  }
  showHashes(ring);
}

/** The two functions, where the algorithm lets one choose; not while somebody is choosing. */
function showHashes(ring) {
  const form = element("hashes");
  const hasVirtualNodes = ring.virtual_node_hash !== null;
  form.hidden = ring.hash === null;
  for (const part of [element("virtual-node-hash"), element("virtual-node-hash").labels[0]]) {
    part.hidden = !hasVirtualNodes;
  }
  if (form.contains(document.activeElement)) return;
  element("key-hash").value = ring.hash ?? "";
  if (hasVirtualNodes) element("virtual-node-hash").value = ring.virtual_node_hash;
}

/** What the form asks for, as PUT /ring takes it. */
function chosenHashes() {
  const virtualNodes = element("virtual-node-hash");
  const chosen = { hash: element("key-hash").value };
  return virtualNodes.hidden ? chosen : { ...chosen, virtual_node_hash: virtualNodes.value };
}

/** Draws the ring with the way of request `id`; without one if either is null. */
function showRoute(id, route) {
  routeId = route && id;
  element("route-clear").hidden = route === null;
  describeRoute(route, view);
  view.route = route;
  drawRing(element("ring"), view);
  fadeOthers();
}

const askRoute = (id) => call("GET", `/route?${new URLSearchParams({ id })}`);

/** Leaves the replica whose row is pointed at, so that it can be told without its colour. */
function fadeOthers() {
  for (const group of element("ring").querySelectorAll("[data-owner]")) {
    group.classList.toggle("faded", pointedAt !== null && group.dataset.owner !== pointedAt);
  }
}

/** @returns {import("./ring.js").RingReplica[]} by server id */
function readReplicas(ring) {
  const entries = Object.entries(ring.replicas).sort(([, a], [, b]) => a.server_id - b.server_id);
  const states = entries.map(([, { state }]) => state);
  // As the load balancer does: with nobody alive, a suspect is a better guess than an error.
  const serving = states.includes("alive") ? "alive" : "suspect";
  for (const hostname of colours.keys()) {
    if (!(hostname in ring.replicas)) colours.delete(hostname);
  }
  return entries.map(([hostname, { server_id: serverId, state, share, slots }]) => {
    if (!colours.has(hostname)) colours.set(hostname, freeColour(serverId));
    const colour = colours.get(hostname);
    const serves = state === serving;
    return { hostname, serverId, state, serves, share, slots: slots ?? [], colour };
  });
}

/** The id's own colour, so that all screens agree, or the next that is free. */
function freeColour(serverId) {
  const taken = new Set(colours.values());
  for (let offset = 0; offset < NUM_COLOURS; offset++) {
    const colour = ((serverId - 1 + offset) % NUM_COLOURS) + 1;
    if (!taken.has(colour)) return colour;
  }
  return ((serverId - 1) % NUM_COLOURS) + 1;
}

function ringButtons() {
  return document.querySelectorAll("[data-preset], [data-algorithm]");
}

/** How much of the ring the last change moved: what consistent hashing keeps small. */
function showMoved(ring, replicas, owner) {
  const text = describeRing(ring);
  const isSameRing = configText === text;
  configText = text;
  setText(element("ring-config"), text);
  if (!isSameRing || ring.slots === null) {
    setText(element("ring-moved"), "");
    return;
  }
  const before = view.owner;
  const names = view.replicas;
  let moved = 0;
  owner.forEach((index, slot) => {
    if (replicas[index]?.hostname !== names[before[slot]]?.hostname) moved++;
  });
  if (moved > 0) {
    const percent = ((100 * moved) / owner.length).toFixed(1);
    setText(element("ring-moved"), `The last change moved ${percent} % of the slots.`);
  }
}

function setTrouble(part, text) {
  troubles[part] = text;
  const trouble = troubles.answers || troubles.events;
  element("connection").dataset.state = trouble ? "trouble" : "live";
  setText(element("connection"), trouble || "live");
}

/** @param {import("./api.js").Counts} counts */
async function count(counts) {
  countedAt = performance.now();
  table.count(counts);
  // Not every change is an event: a replica that is still starting has its slots already.
  if (counts.tableVersion !== tableVersion) {
    tableVersion = counts.tableVersion;
    await refresh();
  }
  if (numReplicas !== null) history.add(numReplicas);
}

/** Asks for the counters while no stream tells them, which also finds out who does not answer. */
async function poll() {
  if (!document.hidden && performance.now() - countedAt > 2 * POLL_MS) {
    try {
      await count(await readMetrics());
    } catch (error) {
      tableVersion = 0;
      setTrouble("answers", error.message);
    }
  }
  setTimeout(poll, POLL_MS);
}

const nameToAdd = () => element("add-hostname").value.trim();
const addition = () => ({ n: 1, hostnames: nameToAdd() ? [nameToAdd()] : [] });

element("add").addEventListener("submit", (event) => {
  event.preventDefault();
  perform(event.submitter, element("add-fault"), async () => {
    await call("POST", "/add", addition());
    element("add-hostname").value = "";
  });
});

for (const control of element("add").querySelectorAll("input, button")) {
  foretell(control, element("replicas-forecast"), async () => {
    const { moved } = await call("POST", "/add?dry_run=1", addition());
    return `Adding ${nameToAdd() || "a replica"} moves ${percent(moved)} of the keys.`;
  });
}

element("route").addEventListener("submit", (event) => {
  event.preventDefault();
  const id = element("route-id").value;
  perform(event.submitter, element("route-fault"), async () => {
    const route = await askRoute(id);
    if (view) showRoute(id, route);
  });
});

element("route-clear").addEventListener("click", () => {
  showRoute(null, null);
  element("route-id").focus();
});

async function tellRing(name, change) {
  const { moved } = await call("PUT", "/ring?dry_run=1", change);
  return `Changing to ${name} moves ${percent(moved)} of the keys.`;
}

for (const button of ringButtons()) {
  const { preset, algorithm } = button.dataset;
  const change = preset ? { preset } : { algorithm };
  foretell(button, element("ring-forecast"), () => tellRing(preset ?? algorithm, change));
  button.addEventListener("click", () =>
    perform(button, element("presets-fault"), () => call("PUT", "/ring", change)),
  );
}

element("hashes").addEventListener("submit", (event) => {
  event.preventDefault();
  perform(event.submitter, element("presets-fault"), () => call("PUT", "/ring", chosenHashes()));
});

for (const control of element("hashes").querySelectorAll("select, button")) {
  foretell(control, element("ring-forecast"), () => tellRing("these hashes", chosenHashes()));
}

element("send").addEventListener("click", () =>
  perform(element("send"), element("send-fault"), () =>
    sendRequests(element("send-progress"), element("send-result"), element("send-fault")),
  ),
);

follow({
  onEvent(event) {
    logEvent(element("events"), event);
    refresh();
  },
  onLive(counts, requests) {
    count(counts);
    if (view) land(element("ring"), view, requests);
  },
  onOpen() {
    element("events").replaceChildren();
    setTrouble("events", "");
    refresh();
  },
  // A reason the browser does not tell: the load balancer has as many streams as it will have.
  onLost: () => setTrouble("events", "No events; trying again."),
});
poll();
