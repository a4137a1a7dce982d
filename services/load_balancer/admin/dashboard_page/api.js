/** The admin API: its calls, its stream of events, its counters. */

/**
 * The `message` of an answer; an Error whose text can be shown as it is.
 * @param {string} method
 * @param {string} path
 * @param {object} [body] sent as JSON, a type no foreign page may send without asking first
 */
export async function call(method, path, body) {
  const options = { method, cache: "no-store" };
  if (body !== undefined) {
    options.headers = { "Content-Type": "application/json" };
    options.body = JSON.stringify(body);
  }
  const response = await reach(path, options);
  let answer;
  try {
    answer = JSON.parse(quoteLargeIntegers(await response.text()));
  } catch {
    throw new Error(`The load balancer answered ${response.status}, and no JSON.`);
  }
  if (!response.ok) throw new Error(sentence(answer.message));
  return answer.message;
}

/**
 * What `/metrics` tells, for when there is no stream that does.
 * @returns {Promise<Counts>}
 */
export async function readMetrics() {
  const options = { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) };
  const response = await reach("/metrics", options);
  if (!response.ok) throw new Error(`The load balancer answered ${response.status} to /metrics.`);
  return parseMetrics(await response.text());
}

/**
 * @typedef {object} Counts
 * @property {number} atS when they were read, in seconds of any clock
 * @property {number} tableVersion
 * @property {Map<string, Counters>} replicas by hostname
 *
 * Counters of one replica, over all its lives since the load balancer started.
 * @typedef {object} Counters
 * @property {number} answered
 * @property {number} inFlight
 * @property {{upTo: number, count: number}[]} latency cumulative histogram; `upTo` in seconds
 */

/**
 * Calls `onOpen` whenever the stream of events is opened, then `onEvent` for each event the load
 * balancer has kept, from the first (ids start over when it does), and each to come; `onLost` when
 * the stream ends; `onLive` once a second, with the counters, and with some of the requests that
 * were answered. No stream is held while the page is hidden, for there are few.
 */
export function follow({ onOpen, onEvent, onLive, onLost }) {
  let source = null;
  let timer = 0;

  function open() {
    close();
    source = new EventSource("/events?since=0&live=1");
    source.onopen = onOpen;
    // The browser's own reconnection gives up on a 503, and asks for ids of before a restart.
    source.onerror = () => {
      close();
      onLost();
      timer = setTimeout(open, RECONNECT_MS);
    };
    for (const kind of EVENT_KINDS) {
      source.addEventListener(kind, (message) => onEvent(JSON.parse(message.data)));
    }
    source.addEventListener("live", (message) => {
      const live = JSON.parse(message.data);
      onLive(readLive(live), live.requests);
    });
  }

  function close() {
    clearTimeout(timer);
    source?.close();
    source = null;
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  if (!document.hidden) open();
}

/** As in load_balancer/events.py. */
export const EVENT_KINDS = [
  "joined", "suspect", "alive", "dead", "replaced", "draining", "drained", "ejected", "readmitted",
  "ring", "ended",
];
const RECONNECT_MS = 1000;
const PATIENCE_MS = 3000;

async function reach(path, options) {
  try {
    return await fetch(path, options);
  } catch {
    throw new Error("The load balancer does not answer.");
  }
}

/** Keys and hashes have up to 64 bits and more; a JavaScript number has 53. No match is possible
 * inside a JSON string, where a quote has a backslash before it. */
function quoteLargeIntegers(json) {
  return json.replace(/"(key|hash)":\s*(-?\d+)/g, '"$1":"$2"');
}

function sentence(message) {
  const text = String(message).replace(/^<Error> /, "");
  return text.charAt(0).toUpperCase() + text.slice(1) + (text.endsWith(".") ? "" : ".");
}

/** @returns {Counts} */
function readLive({ time, table_version: tableVersion, replicas, latency_up_to_s: upTo }) {
  const read = ([hostname, { answered, in_flight: inFlight, latency: counts }]) => {
    const latency = counts.map((count, index) => ({ upTo: upTo[index] ?? Infinity, count }));
    return [hostname, { answered, inFlight, latency }];
  };
  return { atS: time, tableVersion, replicas: new Map(Object.entries(replicas).map(read)) };
}

/** @returns {Counts} */
function parseMetrics(text) {
  const replicas = new Map();
  let tableVersion = 0;
  for (const [, name, labelText, value] of text.matchAll(/^(\w+)(?:\{(.*)\})? (\S+)$/gm)) {
    if (name === "ringlab_table_version_total") tableVersion = Number(value);
    const { replica, le } = Object.fromEntries(
      [...(labelText ?? "").matchAll(/(\w+)="([^"]*)"/g)].map(([, label, text]) => [label, text]),
    );
    if (replica === undefined) continue;
    if (!replicas.has(replica)) replicas.set(replica, { answered: 0, inFlight: 0, latency: [] });
    const counters = replicas.get(replica);
    if (name === "ringlab_requests_total") counters.answered += Number(value);
    if (name === "ringlab_in_flight") counters.inFlight = Number(value);
    if (name === "ringlab_latency_seconds_bucket") {
      counters.latency.push({ upTo: le === "+Inf" ? Infinity : Number(le), count: Number(value) });
    }
  }
  return { atS: Date.now() / 1000, tableVersion, replicas };
}

/**
 * Seconds within which the share `q` of the answers came, taken as evenly spread in their bucket
 * (Prometheus's histogram_quantile); null without answers.
 */
export function quantile(latency, q) {
  const rank = q * (latency.at(-1)?.count ?? 0);
  if (rank === 0) return null;
  const index = latency.findIndex(({ count }) => count >= rank);
  const { upTo: from, count: before } = latency[index - 1] ?? { upTo: 0, count: 0 };
  const { upTo, count } = latency[index];
  return upTo === Infinity ? from : from + ((upTo - from) * (rank - before)) / (count - before);
}
