/** One decision in words: from the request id to the replica, and who comes next if that fails. */

import { element, make, setContent, swatch } from "./page.js";
import { firstSlots } from "./ring.js";

/**
 * @param {object | null} route as GET /route answers; null: how to get one
 * @param {{owner: Int16Array, replicas: import("./ring.js").RingReplica[]}} [ring]
 */
export function describeRoute(route, ring) {
  element("route-hint").hidden = route !== null;
  element("route-way").hidden = route === null;
  setContent(element("route-steps"), route ? steps(route, ring.owner.length) : []);
  setContent(element("route-order"), route ? order(route, ring) : []);
}

function steps(route, numSlots) {
  const isInteger = /^-?\d+$/.test(route.id);
  const isServing = route.owner === route.replica;
  const terms = [
    ["Key", isInteger ? route.key : `${route.key} (the id's own hash)`],
    ["Hash", route.hash ?? "the algorithm's own"],
  ];
  const away = isServing ? "" : `, but now to ${route.replica ?? "nobody"}`;
  if (route.slot === null) {
    terms.push(["Goes to", route.owner + away]);
  } else {
    const end = `to slot ${count(route.taken_slot)} of ${route.owner}`;
    terms.push(
      ["Slot", `${count(route.slot)} (hash mod ${count(numSlots)})`],
      ["Probes", `${count(route.probes)}, ${end}${away}`],
    );
  }
  return terms.flatMap(([term, description]) => [make("dt", term), make("dd", description)]);
}

function order(route, { owner, replicas }) {
  if (route.failover_order.length === 0) return [make("li", "nobody: no replica is alive")];
  if (route.slot === null) {
    return route.failover_order.flatMap((hostname) => {
      const replica = replicas.find((each) => each.hostname === hostname);
      return replica ? [make("li", swatch(replica.colour), hostname)] : [];
    });
  }
  const stops = firstSlots(route.slot, route.failover_order, owner.length, replicas);
  return stops.map(({ replica, slot, distance }) => {
    const place = make("small", `slot ${count(slot)}, ${count(distance)} clockwise`);
    return make("li", swatch(replica.colour), replica.hostname, " ", place);
  });
}

const count = (number) => number.toLocaleString("en");
