/** The ring in a sentence: its algorithm, and the parameters that make it what it is. */

const NOT_OWN = ["algorithm", "preset", "load_factor", "hash", "capacity", "replicas"];

/** @param {object} ring as GET /ring answers */
export function describeRing(ring) {
  return placement(ring) + bound(ring.load_factor);
}

function placement(ring) {
  if (ring.slots === null) {
    const parameters = Object.entries(ring)
      .filter(([name, value]) => value !== null && !NOT_OWN.includes(name))
      .map(([name, value]) => `${name.replaceAll("_", " ")} ${value.toLocaleString("en")}`);
    if (ring.hash) parameters.push(`hash of request ids: ${ring.hash}`);
    return [`Algorithm ${ring.algorithm}`, ...parameters].join(", ") + ".";
  }
  const slots = `${ring.slots.toLocaleString("en")} slots`;
  return ring.algorithm === "table"
    ? `${slots}, dealt out by a table. Hash of request ids: ${ring.key_hash}.`
    : `${slots}, ${ring.virtual_nodes} virtual nodes each, ${ring.probing} probing. ` +
        `Hash of request ids: ${ring.key_hash}; of virtual nodes: ${ring.virtual_node_hash}.`;
}

function bound(loadFactor) {
  return loadFactor === null
    ? ""
    : ` Nobody gets more than ${loadFactor} times the mean of requests in flight.`;
}
