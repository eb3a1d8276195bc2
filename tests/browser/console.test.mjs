// The console as people use it, from the first visit on. Each test has a person of its own; none waits for time, only for
// things to happen.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { scenario } from "./browser.mjs";
import { advance, callWith, forget, live, logIn, newNumber, onboard } from "./console.mjs";
import { PRICE, eventually } from "./gateway.mjs";

const run = promisify(execFile);
const CLIPBOARD = { permissions: ["clipboard-read", "clipboard-write"] };

/** Creates a token, and gives it back as the clipboard got it. */
async function createToken(page, name) {
  await page.goto("/tokens");
  await page.getByRole("link", { name: "Create a token" }).click();
  await page.getByLabel("Name").fill(name);
  await page.getByRole("button", { name: "Create" }).click();
  return showToken(page);
}

/** Shows the token whose page is open, and copies it. */
async function showToken(page) {
  const show = page.getByRole("button", { name: "Show and copy" });
  const copy = page.getByRole("button", { name: "Copy token" });
  await show.or(copy).first().waitFor();
  if (await show.count()) await show.click();
  await copy.click();
  const token = await page.evaluate(() => navigator.clipboard.readText());
  assert.match(token, /^chappe_live_[A-Za-z0-9]{32}$/);
  return token;
}

async function newCustomer(page, company) {
  await logIn(page, newNumber());
  await onboard(page, company);
}

const figure = (page, label) =>
  page.locator("#funnel li").filter({ has: page.getByText(label, { exact: true }) }).locator(".figure").innerText();

scenario("from the first visit to a verified code, a limited token and a rotated one", CLIPBOARD, async (page) => {
  await newCustomer(page, "Rossi & Figli");
  await page.getByText("Welcome. This is your account.").waitFor();
  const token = await createToken(page, "web shop");

  // Sent with that token, it appears by itself, and goes on by itself.
  await page.goto("/requests");
  await live(page);
  const sent = await callWith(token, "sendVerificationMessage", { phone_number: "9996601234", code: "482913" });
  assert.equal(sent.ok, true, JSON.stringify(sent));
  const id = sent.result.request_id;
  const row = page.locator("#list tbody tr").filter({ hasText: id });
  await row.getByText("delivered").waitFor();
  assert.ok(!(await page.content()).includes("9996601234"), "the number is masked");
  const checked = await callWith(token, "checkVerificationStatus", { request_id: id, code: "482913" });
  assert.equal(checked.result.verification_status.status, "code_valid");
  await row.getByText("verified").waitFor();

  await row.getByRole("link").first().click();
  await page.getByRole("heading", { name: "What happened" }).waitFor();
  await page.getByRole("heading", { name: "Right code entered" }).waitFor();

  await page.goto("/overview");
  for (const label of ["Sent", "Delivered", "Verified"]) assert.equal(await figure(page, label), "1", label);

  await page.goto("/budget");
  const charge = page.locator("#list tbody tr").filter({ hasText: id });
  assert.match(await charge.innerText(), /99\.99/, "the balance after it");

  // Another address alone may use it now.
  await page.goto("/tokens");
  await page.getByRole("link", { name: "web shop" }).click();
  await page.getByLabel("Addresses and ranges").fill("203.0.113.7\n2001:db8::/48");
  await page.locator("form[action$='/ranges']").getByRole("button", { name: "Save" }).click();
  await page.waitForURL("**/tokens/*");
  const refused = await callWith(token, "getBalance");
  assert.equal(refused.error, "IP_NOT_ALLOWED");
  await page.getByLabel("Another address").fill("2001:db8::17");
  await page.getByRole("button", { name: "Ask" }).click();
  await page.locator("#passes .notice.good").waitFor();
  await page.getByLabel("Addresses and ranges").fill("");
  await page.locator("form[action$='/ranges']").getByRole("button", { name: "Save" }).click();
  await eventually("the token works again", async () => (await callWith(token, "getBalance")).ok);

  // For an hour both work, and then the new one alone.
  await page.getByRole("link", { name: "Rotate" }).click();
  await page.getByLabel(/hour/).first().check();
  await page.getByRole("button", { name: "Rotate" }).click();
  const successor = await showToken(page);
  assert.notEqual(successor, token);
  for (const each of [token, successor]) assert.equal((await callWith(each, "getBalance")).ok, true);
  await advance(3601);
  assert.equal((await callWith(token, "getBalance")).error, "ACCESS_TOKEN_INVALID");
  assert.equal((await callWith(successor, "getBalance")).ok, true);
});

scenario("before a token is shown it is asked who is there", CLIPBOARD, async (page) => {
  await newCustomer(page, "Late Hours");
  const token = await createToken(page, "nightly");
  const [path] = /\/tokens\/\d+/.exec(page.url());
  await advance(3600);
  await page.goto(path);
  assert.ok(!(await page.content()).includes(token), "a token that nobody asked for is not in the page");
  await page.getByRole("button", { name: "Show and copy" }).click();
  await page.getByRole("heading", { name: "Is it you?" }).waitFor();
});

scenario("the CSV has the sums of the books", {}, async (page) => {
  await newCustomer(page, "=SUM(A1)");
  await page.goto("/budget");
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("link", { name: "Download CSV" }).click(),
  ]);
  const chunks = [];
  for await (const chunk of await download.createReadStream()) chunks.push(chunk);
  const [head, ...lines] = Buffer.concat(chunks).toString().trim().split(/\r?\n/);
  const columns = head.replace(/^\ufeff/, "").split(",");
  const amount = columns.indexOf("amount");
  const balance = columns.findIndex((name) => name.startsWith("balance"));
  assert.ok(amount >= 0 && balance >= 0 && lines.length > 0, head);
  const micros = (text) => {
    const [, sign, whole, rest = ""] = /^"?([-+]?)(\d+)(?:\.(\d+))?"?$/.exec(text);
    return BigInt(`${sign === "-" ? "-" : ""}${whole}${rest.padEnd(6, "0")}`);
  };
  const rows = lines.map((line) => line.split(","));
  const sum = rows.reduce((total, row) => total + micros(row[amount]), 0n);
  const newest = rows.map((row) => micros(row[balance]));
  assert.ok(newest.includes(sum), `the sum ${sum} is no balance of ${newest}`);
  const { stdout } = await run(process.env.GATEWAY_BINARY, ["audit", "--data", process.env.GATEWAY_DATA]);
  assert.match(stdout, /all invariants hold/);
});

scenario("a team has roles", {}, async (page) => {
  await newCustomer(page, "Roles & Co");
  const colleague = newNumber();
  await page.goto("/team");
  await page.getByLabel("Phone number").fill(colleague);
  await page.getByLabel(/^finance/i).check();
  await page.getByRole("button", { name: "Invite" }).click();
  await page.getByRole("cell", { name: "finance" }).waitFor();
  await page.getByRole("link", { name: "Audit log" }).first().click();
  await page.getByText("member.invite").first().waitFor();

  await forget(page);
  await logIn(page, colleague);
  await page.getByRole("button", { name: "Accept what Roles & Co asks" }).click();
  await page.getByText("You belong to the team now.").waitFor();
  await page.goto("/budget");
  await page.getByRole("heading", { name: "Budget" }).waitFor();
  assert.equal(await page.getByRole("link", { name: "Requests", exact: true }).count(), 0);
});

scenario("keys lead from page to page", {}, async (page) => {
  await newCustomer(page, "Fast Fingers");
  await page.keyboard.press("g");
  await page.keyboard.press("r");
  await page.waitForURL("**/requests");
  await page.keyboard.press("/");
  assert.equal(await page.evaluate(() => document.activeElement.id), "q");
  await page.keyboard.type("gb");
  assert.ok(page.url().endsWith("/requests"), "what is typed is no key");
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press("?");
  await page.getByRole("heading", { name: "Keys" }).waitFor();
});

scenario("without JavaScript every way through works", { javaScriptEnabled: false }, async (page) => {
  await newCustomer(page, "No Script");
  await page.goto("/tokens/new");
  await page.getByLabel("Name").fill("plain");
  await page.getByRole("button", { name: "Create" }).click();
  const show = page.getByRole("button", { name: "Show and copy" });
  if (await show.count()) await show.click();
  const token = (await page.locator("#secret").innerText()).trim();
  const sent = await callWith(token, "sendVerificationMessage", { phone_number: "9996601235", code: "1357" });
  assert.equal(sent.ok, true, JSON.stringify(sent));
  await page.goto("/requests");
  await page.getByRole("cell", { name: sent.result.request_id }).waitFor();
  await page.getByLabel("Whole number or request id").fill("+9996601235");
  await page.getByRole("button", { name: "Search" }).click();
  await page.waitForURL("**/requests?*");
  await page.locator("#list a[data-row]").first().click();
  await page.getByRole("heading", { name: "What happened" }).waitFor();
  await page.goto("/overview");
  assert.equal(await figure(page, "Sent"), "1");
  await page.getByRole("button", { name: "Test", exact: true }).click();
  await page.getByText("Test mode").waitFor();
  await page.locator("#person summary").click();
  await page.getByRole("button", { name: "Log out" }).click();
  await page.waitForURL("**/login");
  const charged = 100 - (await callWith(token, "getBalance")).result.balance;
  assert.equal(Math.round(charged * 100) / 100, PRICE);
});
