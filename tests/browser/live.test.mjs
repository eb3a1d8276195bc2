// What the console's script does while things happen: it shows them, and is never in the way of whoever is there.

import assert from "node:assert/strict";
import { scenario } from "./browser.mjs";
import { advance, callWith, live, logIn, newNumber, onboard } from "./console.mjs";
import { DELIVERED, eventually, fill, send, told } from "./gateway.mjs";

/** The developer's pages, with something on them. */
async function open(page, path) {
  await logIn(page);
  await page.goto(path);
  await live(page);
}

const row = (page, { id }) => page.locator("#list tbody tr").filter({ hasText: id });

/** Waits until the page has asked the server how things stand now. */
const asks = (page) => page.waitForResponse((answer) => answer.request().headers()["x-chappe-live"] === "1");

scenario("news come at most once a second, however many there are", {}, async (page) => {
  await open(page, "/requests");
  let asked = 0;
  page.on("request", (request) => { asked += request.headers()["x-chappe-live"] === "1"; });
  const sent = [];
  for (const end = Date.now() + 1500; Date.now() < end; ) sent.push(await send(DELIVERED));
  await row(page, sent.at(-1)).waitFor();
  assert.ok(sent.length > 20 && asked <= 4, `${asked} looks at ${sent.length} messages`);
});

scenario("the focus stays where it is", {}, async (page) => {
  const first = await send(DELIVERED);
  await told(first.id, "delivered");
  await open(page, "/requests");
  const link = row(page, first).getByRole("link");
  await link.focus();
  const next = await send(DELIVERED);
  await row(page, next).waitFor();
  assert.ok(await link.evaluate((link) => link === document.activeElement), "the focus is lost");
});

scenario("a selection stays, and what waited comes after it", {}, async (page) => {
  const first = await send(DELIVERED);
  await told(first.id, "delivered");
  await open(page, "/requests");
  await row(page, first).locator(".mono").selectText();
  const looked = asks(page);
  const next = await send(DELIVERED);
  await looked;
  assert.equal(await page.evaluate(() => getSelection().toString().trim()), first.id);
  assert.equal(await row(page, next).count(), 0);
  await page.evaluate(() => getSelection().removeAllRanges());
  await row(page, next).waitFor();
});

scenario("what is being written is left alone while the rest goes on", {}, async (page) => {
  await open(page, "/operator");
  await page.goto("/reports");
  await live(page);
  await page.getByLabel("X-Request-Timestamp").fill("123");
  await send(DELIVERED, { callback_url: "http://127.0.0.1:9/" });
  await page.locator("#list tbody tr").first().waitFor();
  assert.equal(await page.getByLabel("X-Request-Timestamp").inputValue(), "123");
});

scenario("a page takes another shape with the first code, unless one is busy there", {}, async (page) => {
  await logIn(page, newNumber());
  await onboard(page, `First ${Date.now()}`);
  await page.getByRole("button", { name: "Test", exact: true }).click();
  await page.getByText("Test mode").waitFor();
  await page.goto("/tokens/new");
  await page.getByLabel("Name").fill("first");
  await page.getByRole("button", { name: "Create" }).click();
  const show = page.getByRole("button", { name: "Show and copy" });
  if (await show.count()) await show.click();
  const token = (await page.locator("#secret").innerText()).trim();
  await page.goto("/overview");
  await live(page);
  await page.getByRole("heading", { name: "No codes yet" }).waitFor();
  await page.locator("#curl").selectText();
  const looked = asks(page);
  const sent = await callWith(token, "sendVerificationMessage", { phone_number: "9996600777", code: "4711" });
  assert.equal(sent.ok, true, JSON.stringify(sent));
  await looked;
  assert.ok((await page.evaluate(() => getSelection().toString())).startsWith("curl"), "the selection is lost");
  await page.evaluate(() => getSelection().removeAllRanges());
  await page.locator("#funnel").waitFor();
});

scenario("a table that was opened stays open", {}, async (page) => {
  await fill();
  await open(page, "/overview");
  await page.getByText("Show as table").first().click();
  const before = await page.locator("#funnel").innerText();
  await send(DELIVERED);
  await eventually("another number", async () => (await page.locator("#funnel").innerText()) !== before);
  assert.ok(await page.locator("details.behind").first().evaluate((table) => table.open));
});

scenario("who was logged out meanwhile is told, and keeps what is on the page", {}, async (page) => {
  const first = await send(DELIVERED);
  await open(page, "/requests");
  await page.context().clearCookies();
  await send(DELIVERED);
  await page.locator("#live").getByText("logged out").waitFor();
  await page.getByText("You are logged out. Load the page anew to go on.").waitFor();
  await row(page, first).waitFor();
});

scenario("a page that answers a form goes on being live", {}, async (page) => {
  await open(page, "/reports");
  await page.getByLabel("X-Request-Timestamp").fill("1");
  await page.getByLabel("X-Request-Signature").fill("2");
  await page.getByLabel("Body, byte for byte").fill("{}");
  await page.getByRole("button", { name: "Check" }).click();
  await page.locator("#check .notice").waitFor();
  await live(page);
  const { id } = await send(DELIVERED, { callback_url: "http://127.0.0.1:9/" });
  await page.locator("#list tbody tr").filter({ hasText: id }).first().waitFor();
  await page.locator("#check .notice").waitFor();
  assert.ok(page.url().includes("/reports/check"), page.url());
});

scenario("times are told by the server's clock", {}, async (page) => {
  const first = await send(DELIVERED);
  await advance(7200);
  const second = await send(DELIVERED);
  await open(page, "/requests");
  const when = (message) => row(page, message).locator("time[data-ago]").innerText();
  assert.equal(await when(second), "just now");
  assert.equal(await when(first), "2 h ago");
  // It is moved while the page is open.
  await advance(3600);
  await send(DELIVERED);
  await eventually("the times are told anew", async () => (await when(first)) === "3 h ago" && (await when(second)) === "1 h ago");
});

scenario("menus close, rows are links, and a click too many is none", {}, async (page) => {
  const first = await send(DELIVERED);
  await open(page, "/requests");
  await page.locator("#person summary").click();
  await page.keyboard.press("Escape");
  assert.equal(await page.locator(".drop[open]").count(), 0);
  assert.ok(await page.locator("#person summary").evaluate((summary) => summary === document.activeElement));
  await page.locator("#person summary").click();
  await page.locator("h1").click();
  assert.equal(await page.locator(".drop[open]").count(), 0);
  // With the keyboard each arrow would be a page of its own.
  await page.locator("#status").focus();
  await page.keyboard.press("ArrowDown");
  assert.ok(!page.url().includes("?"), page.url());
  await row(page, first).locator("td").nth(2).click();
  await page.waitForURL(`**/requests/${first.id}`);

  await page.goto("/budget");
  await page.getByLabel("Tell me below").fill("1");
  let posts = 0;
  page.on("request", (request) => { posts += request.method() === "POST"; });
  await page.locator("form[action='/budget/alert'] button").dblclick();
  await page.getByText("Saved.").waitFor();
  assert.equal(posts, 1);
});

scenario("the reference copies a line, and not all that is said of a method", { permissions: ["clipboard-read", "clipboard-write"] }, async (page) => {
  await page.goto("/reference");
  await page.locator("#getBalance").getByRole("button", { name: "Copy command" }).click();
  const copied = await eventually("a copy", () => page.evaluate(() => navigator.clipboard.readText()));
  assert.match(copied, /^curl \S+\/getBalance/);
  await page.goto("/reference#getBalance");
  await page.locator("section#getBalance").waitFor();
});
