// Every way to fund an account: by the operator, by Stripe Checkout and with Telegram Stars; and what goes back.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { stripe, telegram } from "./provided.mjs";

const { scenario } = await import("./browser.mjs");
const { forget, live, logIn, newNumber, onboard } = await import("./console.mjs");
const { calm, examine } = await import("./look.mjs");
const run = promisify(execFile);

async function newCustomer(page, company) {
  await logIn(page, newNumber());
  await onboard(page, company);
}

/** Begins a payment of ten credits; ends where it is to be paid. */
async function begin(page, method) {
  await page.goto("/budget");
  await page.getByRole("link", { name: "Add funds" }).click();
  await page.getByLabel("Credits").fill("10");
  await page.getByLabel(method).check();
  await page.getByRole("button", { name: "Continue" }).click();
  await page.waitForURL("**/budget/payments/*");
  await page.getByText("not paid yet").waitFor();
  return page.getByRole("link", { name: /^Pay / });
}

const balance = (page) => page.locator("#stats .stat").filter({ hasText: "Balance" }).locator(".figure").first().innerText();

/** The amounts and what they were for, newest first. */
const movements = (page) => page.locator("#list tbody tr").evaluateAll((rows) =>
  rows.map((row) => [...row.cells].slice(1).map((cell) => cell.innerText.trim())));

async function audited() {
  const { stdout } = await run(process.env.GATEWAY_BINARY, ["audit", "--data", process.env.GATEWAY_DATA]);
  assert.match(stdout, /all invariants hold/);
}

scenario("the operator books a payment, once, and the customer sees it", {}, async (page) => {
  await newCustomer(page, "Paid by Wire");
  await forget(page);
  await logIn(page);
  await page.goto("/operator");
  await page.getByRole("link", { name: "Paid by Wire" }).click();
  const book = async () => {
    await page.getByLabel("Amount").fill("25.50");
    await page.getByLabel("Reference").fill("INV-17");
    await page.locator("form[action$='/credit']").getByLabel("Reason").fill("invoice 17");
    await page.getByRole("button", { name: "Book" }).click();
  };
  await book();
  await page.getByText("Booked.").waitFor();
  const row = page.locator("#movements tbody tr").first();
  assert.match(await row.innerText(), /invoice 17 \(INV-17\)\s+\+?25\.5\s/);
  await book();
  await page.getByText("was booked before").waitFor();
  await audited();
});

scenario("Stripe: begun, paid there, and booked while one watches", { doubles: [stripe] }, async (page) => {
  await newCustomer(page, "Paid by Card");
  await page.goto("/budget");
  const before = Number(await balance(page));
  const pay = await begin(page, "Stripe");
  assert.equal(await page.locator("h1").innerText(), "10 credits for 12.50 EUR");
  await live(page);
  const here = page.url();
  // Who goes back without paying finds it still open; a second look pays.
  await pay.click();
  await page.getByRole("button", { name: "Back" }).click();
  await page.waitForURL(here);
  await page.getByText("not paid yet").waitFor();
  const watcher = await page.context().newPage();
  await watcher.goto(here);
  await live(watcher);
  await pay.click();
  await page.getByRole("button", { name: "Pay 12.50 EUR" }).click();
  await page.waitForURL(`${here}?said=paying`);
  for (const each of [page, watcher]) await each.getByText("Thank you: the credits are in your budget.").waitFor();
  await page.goto("/budget");
  assert.equal(Number(await balance(page)), before + 10);
  const [newest] = await movements(page);
  assert.match(newest.join(" | "), /^Payment \| paid through Stripe .* \| \+10 \|/);
  await audited();
});

scenario("Stripe: a bank transfer takes its time, and a refund takes back", { doubles: [stripe] }, async (page) => {
  await newCustomer(page, "Paid by Bank");
  await page.goto("/budget");
  const before = Number(await balance(page));
  const pay = await begin(page, "Stripe");
  const here = page.url();
  const there = await pay.getAttribute("href");
  await pay.click();
  await page.getByRole("button", { name: "Pay by bank transfer" }).click();
  await page.waitForURL(`${here}?said=paying`);
  await page.getByText("not paid yet").waitFor();
  await live(page);
  await stripe.arrives(there);
  await page.getByText("Thank you: the credits are in your budget.").waitFor();
  await stripe.refund(there);
  await page.getByText("What was paid went back to the payer").waitFor();
  await page.goto("/budget");
  assert.equal(Number(await balance(page)), before);
  assert.equal((await movements(page)).length >= 2, true);
  await audited();
});

scenario("Telegram Stars: begun, paid there, given back by the operator", { doubles: [telegram] }, async (page) => {
  await newCustomer(page, "Paid in Stars");
  await page.goto("/budget");
  const before = Number(await balance(page));
  const pay = await begin(page, "Telegram Stars");
  assert.equal(await page.locator("h1").innerText(), "10 credits for 500 Stars");
  const here = page.url();
  const there = await page.context().newPage();
  await live(page);
  await there.goto(await pay.getAttribute("href"));
  await there.getByRole("button", { name: "Pay 500 Stars" }).click();
  await there.getByRole("heading", { name: "Paid", exact: true }).waitFor();
  await page.bringToFront();
  await page.getByText("Thank you: the credits are in your budget.").waitFor();
  // The same link a second time: Telegram asks, and is told no.
  await there.goto(await there.url());
  await there.getByRole("button", { name: "Pay 500 Stars" }).click();
  await there.getByRole("heading", { name: "Not paid" }).waitFor();
  await there.close();

  await forget(page);
  await logIn(page);
  await page.goto("/operator");
  await page.getByRole("link", { name: "Paid in Stars" }).click();
  await page.getByRole("link", { name: "Give back" }).click();
  await page.getByRole("heading", { name: "Give 500 Stars back?" }).waitFor();
  await page.getByRole("button", { name: "Give back" }).click();
  await page.getByText("The payment went back").waitFor();
  assert.equal(telegram.refunded.length, 1);
  const figures = await page.locator("#stats .figure").allInnerTexts();
  assert.equal(Number(figures[0]), before, `${figures} after ${here}`);
  await audited();
});

scenario("without JavaScript a payment is paid as well", { doubles: [stripe], javaScriptEnabled: false }, async (page) => {
  await newCustomer(page, "Paid Plainly");
  const pay = await begin(page, "Stripe");
  await pay.click();
  await page.getByRole("button", { name: "Pay 12.50 EUR" }).click();
  await page.waitForURL("**/budget/payments/*?said=paying");
  await page.getByText("Thank you: the credits are in your budget.").waitFor();
});

scenario("everybody can use the pages of payments", { ...calm, doubles: [stripe] }, async (page) => {
  await page.goto("/login");
  await page.getByRole("link", { name: "Log in with Telegram" }).waitFor();
  await examine(page, "log-in-telegram");
  await newCustomer(page, "Payments");
  await page.goto("/budget/add");
  await examine(page, "add-funds-methods");
  await page.getByLabel("Credits").fill("much");
  await page.getByRole("button", { name: "Continue" }).click();
  await page.locator("#faults").getByText("Write an amount such as").waitFor();
  await examine(page, "add-funds-fault");
  const pay = await begin(page, "Stripe");
  await examine(page, "payment");
  await pay.click();
  await page.getByRole("button", { name: "Pay 12.50 EUR" }).click();
  await page.getByText("Thank you: the credits are in your budget.").waitFor();
  await examine(page, "payment-paid");
});
