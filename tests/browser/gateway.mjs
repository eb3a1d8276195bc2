// The gateway under test, from its other side: what a customer calls, and what the sandbox's JSON API says.

import assert from "node:assert/strict";

export const BASE_URL = process.env.GATEWAY_URL;
export const SENDER = "example_shop"; // ./run registers it
export const PRICE = 0.01;

// The digit after +99966 decides what becomes of a message.
export const DELIVERED = 0;
export const SILENT = 3;

let last = 1000;

/** Calls a method of the API and gives back its whole answer. */
export async function call(method, params = {}) {
  const answer = await fetch(`${BASE_URL}/${method}`, {
    method: "POST",
    headers: { Authorization: `Bearer ${process.env.GATEWAY_TOKEN}`, "Content-Type": "application/json" },
    body: JSON.stringify(params),
  });
  return answer.json();
}

async function result(method, params) {
  const answer = await call(method, params);
  assert.equal(answer.ok, true, `${method}: ${JSON.stringify(answer)}`);
  return answer.result;
}

/** Sends a code of its own to a number of its own, so that no two messages can be taken for each other. */
export async function send(fate, params = {}) {
  const nth = ++last;
  const message = { phone: `99966${fate}${nth}`, code: `7${nth}${nth % 10}`, ...params };
  const { phone: phone_number, ...others } = message;
  const { request_id: id } = await result("sendVerificationMessage", { phone_number, ...others });
  return { id, ...message };
}

export const status = (id) => result("checkVerificationStatus", { request_id: id });
export const revoke = (id) => result("revokeVerificationMessage", { request_id: id });
export const balance = async () => (await result("getBalance")).balance;

/** What the person with the phone does, without a browser. */
export async function phone(method, path) {
  const answer = await fetch(`${BASE_URL}/sandbox/${path}`, { method });
  assert.ok(answer.ok, `${method} ${path}: ${answer.status}`);
  return answer.json();
}

export const messages = () => phone("GET", "messages");

/** Waits until `probe` answers something true, and gives that back. */
export async function eventually(what, probe, withinMs = 10_000) {
  for (const deadline = Date.now() + withinMs; ; ) {
    const found = await probe();
    if (found) return found;
    assert.ok(Date.now() < deadline, `not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Waits until a customer who asks is told this delivery status; gives back all that is told. */
export const told = (id, wanted) =>
  eventually(`${id} is ${wanted}`, async () => {
    const now = await status(id);
    return now.delivery_status.status === wanted && now;
  });

/** How many messages `fill` sends: more than the page's first answer holds, so that its script adds the others. */
export const FILLED = 23;

/** At least one message in every state there is. */
export async function fill() {
  const [read, expired, revoked] = await Promise.all([send(DELIVERED), send(SILENT), send(SILENT)]);
  await phone("POST", `messages/${read.id}/read`);
  await phone("POST", `messages/${expired.id}/failed`);
  await revoke(revoked.id);
  const delivered = await Promise.all(Array.from({ length: FILLED - 4 }, () => send(DELIVERED)));
  await Promise.all(delivered.map(({ id }) => told(id, "delivered")));
  // Last, so that it is in sight: the one that still counts down.
  await send(SILENT, { ttl: 3600, sender_username: SENDER });
}
