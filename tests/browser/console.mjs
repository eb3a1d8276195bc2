// The console under test: people who log in, and what they find there.

import assert from "node:assert/strict";
import { BASE_URL, eventually } from "./gateway.mjs";

/** The number that `chappe dev` knows: owner of the account `dev`, and who runs the gateway. */
export const DEVELOPER = "+9996600001";

// Each suite on the same gateway has numbers of its own.
const SUITES = ["console", "pages", "flows", "live", "faults"];
let last = 4500 + 500 * SUITES.findIndex((suite) => process.argv[1].endsWith(`/${suite}.test.mjs`));

/** A number that nobody has used yet; codes to it arrive at once. */
export const newNumber = () => `+999660${++last}`;

/** The newest code that a number got. */
export async function codeOf(number) {
  const path = `/sandbox/messages/latest?phone_number=${encodeURIComponent(number)}`;
  const answer = await eventually(`a code for ${number}`, async () => {
    const found = await fetch(BASE_URL + path);
    return found.ok && found.json();
  });
  return answer.code;
}

/** Logs in with a number, and ends where that leads. */
export async function logIn(page, number = DEVELOPER, path = "/login") {
  await page.goto(path);
  await page.getByLabel("Phone number").fill(number);
  await page.getByRole("button", { name: "Send a code" }).click();
  await page.waitForURL("**/login/code*");
  await page.getByLabel("Code").fill(await codeOf(number));
  await page.getByRole("button", { name: "Go on" }).click();
  await page.waitForURL((url) => !url.pathname.startsWith("/login"));
}

/** Makes nobody of whoever is there; first they leave, since a page that is live notices. */
export async function forget(page) {
  await page.goto("about:blank");
  await page.context().clearCookies();
}

/** Opens an account on the first visit. */
export async function onboard(page, company) {
  assert.equal(new URL(page.url()).pathname, "/welcome");
  for (const [label, value] of [
    ["Your name", "Anna Rossi"],
    ["Company or project", company],
    ["E-mail", "anna@rossi.example"],
    ["Country", "Italy"],
    ["City", "Bologna"],
    ["What will you send codes for?", "To know who books a table"],
  ]) {
    await page.getByLabel(label).fill(value);
  }
  await page.getByRole("button", { name: "Go to the console" }).click();
  await page.waitForURL("**/overview*");
}

/** Waits until the page hears of what happens. */
export const live = (page) => page.locator("#live").getByText("live", { exact: true }).waitFor();

/** Calls the API with a token of the caller's choice; gives back the whole answer. */
export async function callWith(token, method, params = {}) {
  const answer = await fetch(`${BASE_URL}/${method}`, {
    method: "POST",
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    body: JSON.stringify(params),
  });
  return answer.json();
}

/** Moves the gateway's clock ahead. */
export async function advance(seconds) {
  const answer = await fetch(`${BASE_URL}/sandbox/clock`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ advance_s: seconds }),
  });
  assert.ok(answer.ok, `the clock: ${answer.status}`);
}
