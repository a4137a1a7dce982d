/** A little traffic of our own: requests to the replicas, under random ids. */

import { setText } from "./page.js";

const NUM_REQUESTS = 100;
const AT_ONCE = 3; // a browser opens six connections to one host; the page needs some itself

/** Sends NUM_REQUESTS to /home; counts answers by replica, and what was not answered. */
export async function sendRequests(progress, result, fault) {
  const answers = new Map();
  const failures = [];
  let started = 0;
  let ended = 0;

  async function send() {
    while (started < NUM_REQUESTS) {
      started++;
      try {
        const replica = await sendOne();
        answers.set(replica, (answers.get(replica) ?? 0) + 1);
      } catch (error) {
        failures.push(error.message);
      }
      progress.value = (100 * ++ended) / NUM_REQUESTS;
    }
  }

  await Promise.all(Array.from({ length: AT_ONCE }, send));
  const counts = [...answers].sort(([a], [b]) => a.localeCompare(b, "en", { numeric: true }));
  const byReplica = counts.map(([replica, count]) => `${replica} ${count}`).join(", ");
  setText(
    result,
    `${NUM_REQUESTS - failures.length} answered, ${failures.length} failed. ${byReplica}`,
  );
  setText(fault, failures.length > 0 ? `First failure: ${failures[0]}` : "");
}

/** @returns {Promise<string>} the replica that answered */
async function sendOne() {
  const id = 100_000 + Math.floor(900_000 * Math.random()); // six digits, as the assignment's
  const response = await fetch("/home", {
    cache: "no-store",
    headers: { "X-Request-ID": String(id) },
  }).catch(() => {
    throw new Error("the load balancer does not answer.");
  });
  if (!response.ok) throw new Error(`status ${response.status} for request id ${id}.`);
  await response.text();
  return response.headers.get("X-Replica");
}
