// Everything that people do on the console, twice: with the keyboard alone, and without JavaScript.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after } from "node:test";
import { scenario } from "./browser.mjs";
import { DEVELOPER, callWith, codeOf, forget, logIn, newNumber, onboard } from "./console.mjs";
import { call, eventually } from "./gateway.mjs";
import { Keys, Mouse } from "./hands.mjs";

const receiver = createServer((_, response) => response.end());
await new Promise((resolve) => receiver.listen(0, "127.0.0.1", resolve));
after(() => {
  receiver.closeAllConnections();
  receiver.close();
});
const CALLBACK = `http://127.0.0.1:${receiver.address().port}/`;

/** Customers of a gateway have names of their own. */
let nth = 0;
const named = (hand, name) => `${name} ${hand.scripts ? "by keys" : "without scripts"} ${++nth}`;

/** Does something as somebody who was not there before; the customer's name is given back. */
async function arrive(hand, name) {
  const company = named(hand, name);
  await logIn(hand.page, newNumber());
  await onboard(hand.page, company);
  return company;
}

const button = (page, name) => page.getByRole("button", { name, exact: true });
const link = (page, name) => page.getByRole("link", { name, exact: true });
const notice = (page, text) => page.locator(".notice").getByText(text).first().waitFor();
const fault = (page, text) => page.locator("#faults").getByText(text).waitFor();

const FLOWS = {
  "the way in and out": async (hand) => {
    const { page } = hand;
    const number = newNumber();
    await page.goto("/login");
    await hand.fill(page.getByLabel("Phone number"), "twelve");
    await hand.send(button(page, "Send a code"));
    await page.getByText("Write the number with its country code").waitFor();
    await hand.fill(page.getByLabel("Phone number"), number);
    await hand.send(button(page, "Send a code"));
    await hand.fill(page.getByLabel("Code"), "00000000");
    await hand.send(button(page, "Go on"));
    await page.getByText("This code is not right").waitFor();
    await hand.send(button(page, "Send another code"));
    await hand.fill(page.getByLabel("Code"), await codeOf(number));
    await hand.send(button(page, "Go on"));
    await page.waitForURL("**/welcome");
    for (const [label, text] of [
      ["Your name", "Anna Rossi"], ["Company or project", named(hand, "In and Out")], ["E-mail", "anna@rossi.example"],
      ["Country", "Italy"], ["City", "Bologna"], ["What will you send codes for?", "Tables"],
    ]) {
      await hand.fill(page.getByLabel(label), text);
    }
    await hand.send(button(page, "Go to the console"));
    await notice(page, "Welcome. This is your account.");
    await hand.open(page.locator("#person summary"));
    await hand.follow(link(page, "Profile"));
    await hand.fill(page.getByLabel("Your name"), "Anna R.");
    await hand.send(page.locator("form[action='/profile']").getByRole("button"));
    await notice(page, "Saved.");
    await hand.fill(page.getByLabel("City"), "Modena");
    await hand.send(page.locator("form[action='/profile/customer']").getByRole("button"));
    await notice(page, "Saved.");
    await hand.send(button(page, "Make it mine"));
    await notice(page, "Saved.");
    await hand.follow(link(page, "Sessions"));
    await page.getByText("this one").waitFor();
    await hand.open(page.locator("#person summary"));
    await hand.send(button(page, "Log out"));
    await page.waitForURL("**/login");
  },

  "a token, from its making to its end": async (hand) => {
    const { page } = hand;
    await arrive(hand, "Tokens");
    await page.goto("/tokens");
    await hand.follow(link(page, "Create a token"));
    await hand.fill(page.getByLabel("Name"), "shop");
    await hand.fill(page.getByLabel("May call from"), "nowhere");
    await hand.send(button(page, "Create"));
    await fault(page, "nowhere");
    await hand.fill(page.getByLabel("May call from"), "");
    await hand.pick(page.getByLabel("Ends by itself"), "After 90 days");
    await hand.send(button(page, "Create"));
    await notice(page, "The token is made.");
    await hand.send(button(page, "Show and copy"));
    const token = (await page.locator("#secret").innerText()).trim();
    if (hand.scripts) {
      await hand.push(button(page, "Copy token"));
      assert.equal(await eventually("a copy", () => page.evaluate(() => navigator.clipboard.readText())), token);
    }
    assert.equal((await callWith(token, "getBalance")).ok, true);
    await hand.fill(page.getByLabel("Addresses and ranges"), "203.0.113.7");
    await hand.send(page.locator("form[action$='/ranges']").getByRole("button"));
    await notice(page, "Saved.");
    assert.equal((await callWith(token, "getBalance")).error, "IP_NOT_ALLOWED");
    await hand.fill(page.getByLabel("Another address"), "203.0.113.7");
    await hand.send(button(page, "Ask"));
    await notice(page, "would pass.");
    await hand.fill(page.getByLabel("Name of the token"), "the shop");
    await hand.send(page.locator("form[action$='/name']").getByRole("button"));
    await page.getByRole("heading", { name: "the shop" }).waitFor();
    await hand.follow(link(page, "Rotate"));
    await hand.choose(page.getByLabel("24 hours"));
    await hand.send(button(page, "Rotate"));
    await notice(page, "This is the new token.");
    await hand.follow(link(page, "Revoke"));
    await hand.send(page.getByRole("main").getByRole("button"));
    await notice(page, "The token is revoked.");
  },

  "a report, sent again and checked": async (hand) => {
    const { page } = hand;
    await arrive(hand, "Reports");
    await page.goto("/tokens/new");
    await page.getByLabel("Name").fill("shop");
    await button(page, "Create").click();
    await button(page, "Show and copy").click();
    const token = (await page.locator("#secret").innerText()).trim();
    const sent = await callWith(token, "sendVerificationMessage", { phone_number: `99966${newNumber().slice(6)}`, code: "4711", callback_url: CALLBACK });
    assert.equal(sent.ok, true, JSON.stringify(sent));
    await page.goto("/reports");
    await eventually("a report", async () => (await page.reload()) && page.getByText("acknowledged").count());
    await hand.fill(page.getByLabel("Request id or host"), sent.result.request_id);
    await hand.send(button(page, "Search"));
    await hand.send(page.getByRole("button", { name: "Send again the report" }).first());
    await notice(page, "The report is on its way again.");
    await hand.fill(page.getByLabel("X-Request-Timestamp"), "1");
    await hand.fill(page.getByLabel("X-Request-Signature"), "2");
    await hand.fill(page.getByLabel("Body, byte for byte"), "{}");
    await hand.send(button(page, "Check"));
    await page.locator("#check .notice").waitFor();
    await page.goto("/requests");
    await hand.fill(page.getByLabel("Whole number or request id"), sent.result.request_id);
    await hand.send(button(page, "Search"));
    await hand.follow(page.locator("#list a[data-row]").first());
    await page.getByRole("heading", { name: "What happened" }).waitFor();
  },

  "senders and the team": async (hand) => {
    const { page } = hand;
    const owner = newNumber();
    const company = named(hand, "Together");
    await logIn(page, owner);
    await onboard(page, company);
    await page.goto("/senders");
    await hand.fill(page.getByLabel("Username"), "x");
    await hand.send(button(page, "Register"));
    await fault(page, "Write the username of a public channel");
    await hand.fill(page.getByLabel("Username"), "together_news");
    await hand.send(button(page, "Register"));
    await notice(page, "The channel is registered.");
    await hand.follow(link(page, "Remove @together_news"));
    await hand.send(button(page, "Remove"));
    await notice(page, "The channel is removed.");

    await page.goto("/team");
    const colleague = newNumber();
    await hand.fill(page.getByLabel("Phone number"), colleague);
    await hand.choose(page.getByLabel(/^developer/i));
    await hand.send(button(page, "Invite"));
    await notice(page, "They are asked as soon as they log in");
    await hand.follow(page.getByRole("link", { name: /^Change role/ }).last());
    await hand.choose(page.getByLabel(/^finance/i));
    await hand.send(button(page, "Save"));
    await page.getByRole("cell", { name: "finance" }).waitFor();
    await hand.follow(page.getByRole("link", { name: /^Remove/ }).last());
    await hand.send(page.getByRole("main").getByRole("button"));
    await notice(page, "They belong to the team no longer.");
    await page.goto("/log");
    await hand.fill(page.getByLabel("Person, address or detail"), "together_news");
    await hand.send(button(page, "Search"));
    await page.getByText("sender.remove").waitFor();

    await page.goto("/team");
    await page.getByLabel("Phone number").fill(colleague);
    await page.getByLabel(/^developer/i).check();
    await button(page, "Invite").click();
    await notice(page, "They are asked as soon as they log in");
    await forget(page);
    await logIn(page, colleague);
    await hand.send(page.getByRole("button", { name: `Accept what ${company} asks` }));
    await notice(page, "You belong to the team now.");
  },

  "money, and play money": async (hand) => {
    const { page } = hand;
    await arrive(hand, "Money");
    await page.goto("/budget");
    await hand.fill(page.getByLabel("Tell me below"), "much");
    await hand.send(button(page, "Save"));
    await fault(page, "amount");
    await hand.fill(page.getByLabel("Tell me below"), "5000");
    await hand.send(button(page, "Save"));
    await page.getByText("The balance is running low.").waitFor();
    await hand.fill(page.getByLabel("From (UTC)"), hand.scripts ? "01012026" : "2026-01-01");
    await hand.send(button(page, "Filter"));
    await page.waitForURL("**/budget?*from=*");
    await hand.send(button(page, "Test"));
    await page.getByText("Play money.").waitFor();
    await page.goto("/budget/add");
    await hand.fill(page.getByLabel("Amount"), "7.5");
    await hand.send(button(page, "Add"));
    await notice(page, "Added.");
    await page.getByRole("cell", { name: "+7.5" }).waitFor();
    await hand.send(button(page, "Live"));
    await page.getByText("Play money.").waitFor({ state: "detached" });
  },

  "what runs the gateway": async (hand) => {
    const { page } = hand;
    const company = await arrive(hand, "Run");
    await page.goto("/senders");
    await page.getByLabel("Username").fill("run_news");
    await button(page, "Register").click();
    await forget(page);
    await logIn(page, DEVELOPER);
    await page.goto("/operator");
    await hand.fill(page.getByLabel("Name, or the phone number of a member"), company);
    await hand.send(button(page, "Search"));
    await hand.follow(link(page, company));
    const credit = page.locator("form[action$='/credit']");
    await hand.fill(credit.getByLabel("Amount"), "0");
    await hand.fill(credit.getByLabel("Reference"), company);
    await hand.pick(credit.getByLabel("Account"), "Live");
    await hand.fill(credit.getByLabel("Reason"), "by wire");
    await hand.send(button(page, "Book"));
    await fault(page, "Write an amount above zero");
    await hand.fill(credit.getByLabel("Amount"), "25");
    await hand.send(button(page, "Book"));
    await notice(page, "Booked.");
    await hand.open(page.getByText("Correct the balance instead"));
    const adjust = page.locator("form[action$='/adjust']");
    await hand.fill(adjust.getByLabel("Change"), "-1.5");
    await hand.fill(adjust.getByLabel("Reason"), "a slip");
    await hand.send(button(page, "Correct"));
    await notice(page, "Booked.");
    await page.goto("/operator/senders");
    const judge = (what) => page.getByRole("row").filter({ hasText: company }).getByRole("button", { name: what });
    await hand.send(judge("Verify"));
    await notice(page, "Verified.");
    await hand.send(judge("Withdraw"));
    await notice(page, "Withdrawn.");
    await hand.send(judge("Refuse"));
    await notice(page, "Refused.");
    await page.goto("/operator/prices");
    await hand.fill(page.getByLabel("Phone number"), "+39 333 123 4567");
    await hand.send(button(page, "Ask"));
    await notice(page, "costs 0.01");
    await page.goto("/operator/log");
    await hand.fill(page.getByLabel("Person, address or detail"), company);
    await hand.send(button(page, "Search"));
    await page.getByText("account.credit").waitFor();
    assert.equal((await call("getBalance")).ok, true);
  },
};

for (const [flow, walk] of Object.entries(FLOWS)) {
  const withKeys = { timeout: 60_000, permissions: ["clipboard-read", "clipboard-write"] };
  scenario(`by the keyboard alone: ${flow}`, withKeys, (page) => walk(new Keys(page)));
  scenario(`without JavaScript: ${flow}`, { timeout: 60_000, javaScriptEnabled: false }, (page) => walk(new Mouse(page)));
}
