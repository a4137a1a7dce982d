/** One decision in words: from the request id to the replica, and who comes next if that fails. */

import { element, make, setContent, swatch } from "./page.js";
import { firstSlots } from "./ring.js";

/**
 * @param {object | null} route as GET /route answers; null: how to get one
 * @param {{numSlots: number, replicas: import("./ring.js").RingReplica[]}} [ring]
 */
export function describeRoute(route, ring) {
  element("route-hint").hidden = route !== null;
  element("route-way").hidden = route === null;
  setContent(element("route-steps"), route ? steps(route, ring.numSlots) : []);
  setContent(element("route-order"), route ? order(route, ring) : []);
}

function steps(route, numSlots) {
  const isInteger = /^-?\d+$/.test(route.id);
  const isServing = route.owner === route.replica;
  const terms = [
    ["Key", isInteger ? route.key : `${route.key} (the id's own hash)`],
    ["Hash", route.hash],
    ["Slot", `${count(route.slot)} (hash mod ${count(numSlots)})`],
    [
      "Probes",
      `${count(route.probes)}, to slot ${count(route.taken_slot)} of ${route.owner}` +
        (isServing ? "" : ", which is out of service"),
    ],
  ];
  return terms.flatMap(([term, description]) => [make("dt", term), make("dd", description)]);
}

function order(route, { numSlots, replicas }) {
  const stops = firstSlots(route.slot, route.failover_order, numSlots, replicas);
  if (stops.length === 0) return [make("li", "nobody: no replica is alive")];
  return stops.map(({ replica, slot, distance }) => {
    const place = make("small", `slot ${count(slot)}, ${count(distance)} clockwise`);
    return make("li", swatch(replica.colour), replica.hostname, " ", place);
  });
}

const count = (number) => number.toLocaleString("en");
