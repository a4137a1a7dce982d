/** The ring: who serves which slot, and its picture. */

/**
 * @typedef {object} RingReplica
 * @property {string} hostname
 * @property {number} serverId
 * @property {string} state
 * @property {boolean} serves is in the routing table
 * @property {number} share of the keys, by the ring, 0 to 1
 * @property {number[]} slots of its virtual nodes; none where the algorithm has no slots
 * @property {number} colour 1 to NUM_COLOURS
 */

/** `--replica-1` … in style.css; beyond, colours come again. */
export const NUM_COLOURS = 12;

/**
 * Index into `replicas` of who serves each slot, -1 for nobody: the first virtual node clockwise,
 * upwards, that serves. O(numSlots).
 * @param {number} numSlots
 * @param {RingReplica[]} replicas
 */
export function owners(numSlots, replicas) {
  const owner = new Int16Array(numSlots).fill(-1);
  replicas.forEach(({ serves, slots }, index) => {
    if (serves) for (const slot of slots) owner[slot] = index;
  });
  // Twice around, because the last slots belong to the first virtual node after slot 0.
  let next = -1;
  for (let step = 2 * numSlots - 1; step >= 0; step--) {
    const slot = step % numSlots;
    if (owner[slot] >= 0) next = owner[slot];
    else owner[slot] = next;
  }
  return owner;
}

/**
 * The same for an algorithm without slots: thousandths, side by side, as many as make its share.
 * @param {RingReplica[]} replicas
 */
export function parts(replicas) {
  const owner = new Int16Array(1000).fill(-1);
  let end = 0;
  replicas.forEach(({ share }, index) => {
    owner.fill(index, Math.round(1000 * end), Math.round(1000 * (end += share)));
  });
  return owner;
}

/** How many slots each replica serves. @param {Int16Array} owner as `owners` returns */
export function slotCounts(owner, numReplicas) {
  const counts = new Array(numReplicas).fill(0);
  for (const index of owner) if (index >= 0) counts[index]++;
  return counts;
}

/**
 * Where each of `hostnames` first stands clockwise from `start`, that slot included.
 * @param {RingReplica[]} replicas
 * @returns {{replica: RingReplica, slot: number, distance: number}[]} in the order of `hostnames`
 */
export function firstSlots(start, hostnames, numSlots, replicas) {
  const distance = (slot) => (slot - start + numSlots) % numSlots;
  return hostnames.flatMap((hostname) => {
    const replica = replicas.find((each) => each.hostname === hostname);
    if (!replica) return [];
    const slot = replica.slots.reduce((a, b) => (distance(a) <= distance(b) ? a : b));
    return [{ replica, slot, distance: distance(slot) }];
  });
}

// Radii, in the units of the picture's viewBox; the ring's centre is at 0, 0.
const KEY_LABEL = 193;
const KEY = 186;
const LABELS = [181, 192];
const VIRTUAL_NODES = 169;
const BAND = 152;
const BAND_WIDTH = 18;
const SLOTS = 138;
const NUMBERS = 116;
const FIRST_BADGE = 104;
const BADGE_STEP = 19;
const MAX_BADGES = 5;
const MAX_DRAWN_SLOTS = 600; // beyond, single slots are less than 1.5 units apart
const MAX_LABELLED = 80; // virtual nodes
const LABEL_GAP = 9; // units along the circle

/**
 * Draws the whole ring into `svg`: slots, arcs in the colour of who serves them, virtual nodes,
 * and the way of one request if there is one. Slot 0 is at the top; clockwise is upwards.
 * @param {SVGElement} svg
 * @param {object} view
 * @param {string} view.algorithm
 * @param {boolean} view.hasSlots without: only shares are drawn
 * @param {RingReplica[]} view.replicas
 * @param {Int16Array} view.owner as `owners` returns, or `parts`
 * @param {object | null} view.route as GET /route answers
 */
export function drawRing(svg, { algorithm, hasSlots, replicas, owner, route }) {
  const numSlots = owner.length;
  /** "x y" of a place on the ring, counted in slots. */
  const at = (place, radius) => {
    const angle = (2 * Math.PI * place) / numSlots;
    // Five digits, because of a million slots one takes a thousandth of a unit.
    return `${(radius * Math.sin(angle)).toFixed(5)} ${(-radius * Math.cos(angle)).toFixed(5)}`;
  };
  // In two halves, so that a full circle is drawn as well.
  const arc = (from, to, radius) =>
    `M${at(from, radius)}` +
    [(from + to) / 2, to].map((end) => `A${radius} ${radius} 0 0 1 ${at(end, radius)}`).join("");
  const middle = (slot) => slot + 0.5;
  const text = (place, radius, content, className = "") => {
    const [x, y] = at(place, radius).split(" ");
    return shape("text", { x, y, class: className }, content);
  };

  const drawing = [shape("circle", { class: "track", r: BAND, "stroke-width": BAND_WIDTH + 2 })];
  if (hasSlots && numSlots <= MAX_DRAWN_SLOTS) {
    const spokes = { class: "slots", r: SLOTS, pathLength: numSlots, "stroke-dasharray": "0.3 0.7" };
    drawing.push(shape("circle", spokes));
  }
  for (const quarter of hasSlots ? [0, 1, 2, 3] : []) {
    const slot = Math.round((quarter * numSlots) / 4);
    drawing.push(text(slot, NUMBERS, slot.toLocaleString("en")));
  }

  const arcs = replicas.map(() => []);
  for (let from = 0, to = 1; from < numSlots; from = to, to++) {
    while (to < numSlots && owner[to] === owner[from]) to++;
    arcs[owner[from]]?.push(arc(from, to, BAND));
  }
  const numVirtualNodes = replicas.reduce((sum, { slots }) => sum + slots.length, 0);
  const room = (2 * Math.PI * VIRTUAL_NODES) / numVirtualNodes;
  const dot = Math.min(9, Math.max(2.2, room * 0.8));
  replicas.forEach(({ hostname, serves, slots, colour }, index) => {
    const dots = slots.map((slot) => `M${at(middle(slot), VIRTUAL_NODES)}h0`).join("");
    drawing.push(
      shape("g", { class: `replica colour-${colour}`, "data-owner": hostname }, [
        shape("path", { class: "arcs", d: arcs[index].join(""), "stroke-width": BAND_WIDTH }),
        dot > 3 ? shape("path", { class: "rim", d: dots, "stroke-width": dot + 1.5 }) : "",
        shape("path", { class: serves ? "dots" : "dots away", d: dots, "stroke-width": dot }),
      ]),
    );
  });
  if (route && hasSlots) drawing.push(...way());
  else drawing.push(centre(), ...(numVirtualNodes <= MAX_LABELLED ? labels() : []));
  svg.replaceChildren(...drawing);

  /** Server ids beside the virtual nodes, in two rows where they are close; none where closer. */
  function labels() {
    const places = replicas.flatMap(({ serverId, slots }) => slots.map((slot) => [slot, serverId]));
    const ends = LABELS.map(() => -Infinity);
    return places.sort(([a], [b]) => a - b).flatMap(([slot, serverId]) => {
      const along = (middle(slot) / numSlots) * 2 * Math.PI * VIRTUAL_NODES;
      const row = ends.findIndex((end) => along - end >= LABEL_GAP);
      if (row < 0) return [];
      ends[row] = along;
      return [text(middle(slot), LABELS[row], String(serverId), "virtual-node")];
    });
  }

  /** From the key's slot over the probes to the replicas in failover order, numbered inwards. */
  function way() {
    const order = route.failover_order.slice(0, MAX_BADGES);
    const stops = firstSlots(route.slot, order, numSlots, replicas);
    const badge = (position) => FIRST_BADGE - position * BADGE_STEP;
    const key = middle(route.slot);
    return [
      shape("path", { class: "key", d: `M${at(key, BAND - BAND_WIDTH / 2)}L${at(key, KEY)}` }),
      shape("path", { class: "probes", d: arc(key, key + route.probes, KEY - 6) }),
      text(key, KEY_LABEL, "key", "key-label"),
      ...stops.map(({ slot }, position) => {
        const d = `M${at(middle(slot), BAND - BAND_WIDTH / 2)}L${at(middle(slot), badge(position))}`;
        return shape("path", { class: "leader", d });
      }),
      ...stops.map(({ replica, slot }, position) => {
        const [cx, cy] = at(middle(slot), badge(position)).split(" ");
        return shape("g", { class: `badge colour-${replica.colour}` }, [
          shape("circle", { cx, cy, r: 8 }),
          text(middle(slot), badge(position), String(position + 1)),
        ]);
      }),
    ];
  }

  function centre() {
    if (!hasSlots) {
      return shape("g", { class: "centre" }, [
        shape("text", { y: -8, class: "figure" }, algorithm),
        shape("text", { y: 14 }, "shares of the keys"),
      ]);
    }
    return shape("g", { class: "centre" }, [
      shape("text", { y: -8, class: "figure" }, numSlots.toLocaleString("en")),
      shape("text", { y: 14 }, "slots"),
      shape("text", { y: 34 }, `${numVirtualNodes.toLocaleString("en")} virtual nodes`),
    ]);
  }
}

const LANDING_MS = 1000; // over which requests land that were told together

/**
 * Requests as they land: a dot each, which fades. Where there are no slots, anywhere on the arc of
 * its replica.
 * @param {SVGElement} svg that `drawRing` has drawn `view` into
 * @param {{replica: string, place: number}[]} requests
 */
export function land(svg, { hasSlots, replicas, owner }, requests) {
  requests.forEach(({ replica: hostname, place }, position) => {
    const index = replicas.findIndex((each) => each.hostname === hostname);
    if (index < 0) return;
    let at = place;
    if (!hasSlots) {
      const length = owner.reduce((sum, each) => sum + (each === index ? 1 : 0), 0);
      at = (owner.indexOf(index) + place * length) / owner.length;
    }
    const angle = 2 * Math.PI * at;
    const [cx, cy] = [BAND * Math.sin(angle), -BAND * Math.cos(angle)].map((x) => x.toFixed(1));
    const dot = shape("circle", { class: `landing colour-${replicas[index].colour}`, cx, cy, r: 5 });
    dot.style.animationDelay = `${Math.round((position * LANDING_MS) / requests.length)}ms`;
    dot.addEventListener("animationend", () => dot.remove());
    svg.append(dot);
  });
}

function shape(name, attributes, content = []) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...[content].flat());
  return element;
}
