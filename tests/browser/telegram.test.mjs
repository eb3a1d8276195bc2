// Logging in with Telegram, from the button to the console.

import assert from "node:assert/strict";
import { issuer } from "./provided.mjs";

const { scenario } = await import("./browser.mjs");
const { forget, newNumber, onboard } = await import("./console.mjs");

for (const javaScriptEnabled of [true, false]) {
  const how = javaScriptEnabled ? "" : ", also without JavaScript";
  scenario(`who agrees is logged in, and comes back as the same person${how}`, { doubles: [issuer], javaScriptEnabled }, async (page) => {
    issuer.claims = { sub: "4711", name: "Claude Chappe", phone_number: newNumber().slice(1) };
    await page.goto("/login?then=/team");
    await page.getByRole("link", { name: "Log in with Telegram" }).click();
    await page.getByRole("button", { name: "Agree" }).click();
    await page.waitForURL("**/welcome");
    assert.equal(await page.getByLabel("Your name").inputValue(), "Claude Chappe");
    await onboard(page, `Optical Telegraphs ${javaScriptEnabled}`);
    await forget(page);
    await page.goto("/login?then=/team");
    await page.getByRole("link", { name: "Log in with Telegram" }).click();
    await page.getByRole("button", { name: "Agree" }).click();
    await page.waitForURL("**/team");
    await page.getByText("(you)").waitFor();
  });
}

scenario("who refuses is told what else there is", { doubles: [issuer] }, async (page) => {
  await page.goto("/login");
  await page.getByRole("link", { name: "Log in with Telegram" }).click();
  await page.getByRole("button", { name: "Refuse" }).click();
  await page.getByRole("alert").getByText("You did not let Telegram tell who you are.").waitFor();
  assert.ok(page.url().includes("/login/telegram"), page.url());
  await page.getByLabel("Phone number").waitFor();
});

scenario("who keeps the number to themselves is told that it is needed", { doubles: [issuer] }, async (page) => {
  issuer.claims = { sub: "4712", name: "Silent" };
  await page.goto("/login");
  await page.getByRole("link", { name: "Log in with Telegram" }).click();
  await page.getByRole("button", { name: "Agree" }).click();
  await page.getByRole("alert").getByText("Telegram did not tell your phone number").waitFor();
});
