// The sandbox page as people meet it. Each test has the phone to itself; none waits for time, only for things to happen.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import axe from "axe-core";
import { bubble, codes, openLive, scenario, shows } from "./browser.mjs";
import {
  DELIVERED, FILLED, PRICE, SENDER, SILENT, balance, call, eventually, fill, messages, send, told,
} from "./gateway.mjs";

const FIRST_LOAD_MAX = 100 * 1024;
const { SCREENSHOTS } = process.env;

scenario("a code that is sent while the page is open appears by itself", {}, async (page) => {
  await openLive(page);
  await page.getByRole("heading", { name: "No codes yet" }).waitFor();
  const message = await send(DELIVERED, { sender_username: SENDER });
  await shows(page, message, "delivered");
  const text = await bubble(page, message).innerText();
  for (const part of [`@${SENDER}`, `+${message.phone}`, `${message.code} is your verification code.`]) {
    assert.ok(text.includes(part), `${part} is missing in ${text}`);
  }
  // Said once to those who listen, digit by digit.
  const said = `New code ${[...message.code].join(" ")} for +${message.phone}`;
  await page.getByRole("status").getByText(said, { exact: true }).waitFor({ state: "attached" });
});

scenario("copying a code marks it read", { permissions: ["clipboard-read", "clipboard-write"] }, async (page) => {
  await openLive(page);
  const message = await send(DELIVERED);
  await shows(page, message, "delivered");
  await page.getByRole("button", { name: `Copy code ${message.code}` }).click();
  await told(message.id, "read");
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), message.code);
});

scenario("marking read is told to whoever asks the API", {}, async (page) => {
  await openLive(page);
  const [message, other] = [await send(DELIVERED), await send(DELIVERED)];
  await shows(page, message, "delivered");
  await page.getByRole("button", { name: `Mark read ${message.code}` }).click();
  await told(message.id, "read");
  await shows(page, message, "read");
  await told(other.id, "delivered");
});

for (const [button, outcome, refunded] of [["Failed", "expired", true], ["Delivered", "delivered", undefined]]) {
  scenario(`an undelivered message can be made ${outcome}`, {}, async (page) => {
    await openLive(page);
    const before = await balance();
    const message = await send(SILENT);
    await bubble(page, message).getByText("Simulate delivery").click();
    await page.getByRole("button", { name: `${button} ${message.code}` }).click();
    assert.equal((await told(message.id, outcome)).is_refunded, refunded);
    await shows(page, message, outcome);
    await bubble(page, message).getByText("Simulate delivery").waitFor({ state: "detached" });
    const cost = Math.round((before - (await balance())) * 100) / 100;
    assert.equal(cost, refunded ? 0 : PRICE);
  });
}

scenario("an hour forward expires what was not delivered in time", {}, async (page) => {
  await openLive(page);
  const message = await send(SILENT, { ttl: 60 });
  await bubble(page, message).getByText(/^expires in/).waitFor();
  await page.evaluate(() => { window.samePage = true; });
  await page.getByRole("button", { name: "+1 h" }).click();
  await shows(page, message, "expired");
  assert.equal(await page.evaluate(() => window.samePage), true, "the page was loaded anew");
  assert.equal((await told(message.id, "expired")).is_refunded, true);
});

scenario("clearing empties every open page", {}, async (page) => {
  const other = await page.context().newPage();
  await Promise.all([openLive(page), openLive(other)]);
  const message = await send(DELIVERED);
  await Promise.all([shows(page, message, "delivered"), shows(other, message, "delivered")]);
  await page.bringToFront(); // a page behind another draws seldom, and a click waits for a drawn page
  await page.getByRole("button", { name: "Clear all messages" }).click();
  for (const each of [page, other]) {
    await each.getByRole("heading", { name: "No codes yet" }).waitFor();
    assert.deepEqual(await codes(each), []);
  }
  assert.deepEqual(await messages(), []);
});

scenario("the filter shows one number, also of what comes later", {}, async (page) => {
  const [mine, other] = [await send(DELIVERED), await send(DELIVERED)];
  await openLive(page);
  const field = page.getByLabel("Phone number, whole");
  await field.fill(`+${mine.phone.slice(0, 5)} ${mine.phone.slice(5)}`); // as people write numbers
  await field.press("Enter");
  await page.waitForURL("**/sandbox?phone_number=*");
  await page.getByText("live", { exact: true }).waitFor();
  assert.deepEqual(await codes(page), [mine.code]);
  // Events come in order: once the second is there, the first would have been.
  await send(DELIVERED, { phone: other.phone });
  const later = await send(DELIVERED, { phone: mine.phone });
  await shows(page, later, "delivered");
  assert.deepEqual(await codes(page), [mine.code, later.code]);
  await page.getByRole("link", { name: "Show all" }).click();
  await shows(page, other, "delivered");
});

scenario("without JavaScript the list shows and every form works", { javaScriptEnabled: false }, async (page) => {
  const [message, silent, waiting] = [await send(DELIVERED), await send(SILENT), await send(SILENT, { ttl: 60 })];
  await told(message.id, "delivered");
  await page.goto("/sandbox");
  assert.deepEqual(await codes(page), [message.code, silent.code, waiting.code]);
  assert.equal(await page.getByRole("button", { name: "Copy" }).count(), 0, "a button that cannot work is shown");

  await bubble(page, message).getByRole("button", { name: "Mark read" }).click();
  await shows(page, message, "read");
  await told(message.id, "read");

  await bubble(page, silent).getByText("Simulate delivery").click();
  await bubble(page, silent).getByRole("button", { name: "Failed" }).click();
  await shows(page, silent, "expired");

  await page.getByRole("button", { name: "+1 h" }).click();
  await shows(page, waiting, "expired");

  await page.getByLabel("Phone number, whole").fill(silent.phone);
  await page.getByRole("button", { name: "Filter" }).click();
  await page.waitForURL("**/sandbox?phone_number=*");
  assert.deepEqual(await codes(page), [silent.code]);

  await page.getByRole("button", { name: "Clear all messages" }).click();
  await page.getByRole("heading", { name: "No codes yet" }).waitFor();
  assert.deepEqual(await messages(), []);
});

scenario("hostile text stays text", {}, async (page) => {
  const hostile = `"><script>alert(1)</script><img src=x onerror=alert(2)>`;
  const refused = await call("sendVerificationMessage", { phone_number: "9996600100", code: "1234", sender_username: hostile });
  assert.deepEqual(refused, { ok: false, error: "SENDER_USERNAME_INVALID" });
  const looked = async () => {
    assert.ok(!(await page.content()).includes("alert("), "the page repeats hostile text");
    assert.equal(await page.locator("script").count(), 1);
  };

  // A payload is between the customer and the gateway: no phone shows it, whether it comes live or with the page.
  await openLive(page);
  const message = await send(DELIVERED, { payload: hostile });
  await shows(page, message, "delivered");
  await looked();
  await page.reload();
  await shows(page, message, "delivered");
  await looked();

  await openLive(page, `/sandbox?phone_number=${encodeURIComponent(hostile)}`);
  await looked();
  // Typed, the field cuts it to its 24 characters.
  const field = page.getByLabel("Phone number, whole");
  await field.pressSequentially(hostile);
  await field.press("Enter");
  await page.waitForURL("**/sandbox?phone_number=*%3Cscript%3E*");
  await page.getByText("live", { exact: true }).waitFor();
  await looked();
});

scenario("the page's policy stops what was never meant to run", {}, async (page, complaints) => {
  await openLive(page);
  // The other tests rely on an empty list of complaints, so prove here that it does not stay empty.
  await page.evaluate(() => {
    const script = document.createElement("script");
    script.textContent = "window.ran = true";
    document.body.append(script);
    document.body.setAttribute("style", "color: red");
    fetch("http://elsewhere.example/").catch(() => {});
  });
  for (const directive of ["script-src", "style-src", "connect-src"]) {
    await eventually(`a complaint about ${directive}`, () => complaints.some((text) => text.includes(directive)));
  }
  assert.equal(await page.evaluate(() => window.ran), undefined);
  complaints.length = 0;
});

scenario("the keyboard alone gets everywhere, and is seen there", {}, async (page) => {
  await openLive(page);
  const message = await send(DELIVERED);
  await shows(page, message, "delivered");
  const focus = () => page.evaluate(() => {
    const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
    const name = document.activeElement.getAttribute("aria-label") ?? document.activeElement.textContent.trim();
    return { name, seen: outlineStyle !== "none" && parseFloat(outlineWidth) >= 2 };
  });
  const wanted = `Mark read ${message.code}`;
  const stops = [];
  while (stops.at(-1) !== wanted) {
    assert.ok(stops.length < 30, `${wanted} is not among ${stops.join(", ")}`);
    await page.keyboard.press("Tab");
    const { name, seen } = await focus();
    assert.ok(seen, `the focus on "${name}" cannot be seen`);
    stops.push(name);
  }
  assert.equal(stops[0], "Skip to messages");
  await page.keyboard.press("Enter");
  await told(message.id, "read");
  await shows(page, message, "read");
  // The button is gone; the focus must not be lost with it.
  assert.equal((await focus()).name, `Copy code ${message.code}`);
});

scenario("many messages of one second stand in the order in which they were sent", {}, async (page) => {
  await fill();
  await openLive(page);
  // The page comes with 20 messages, and its script asks for the older ones.
  await page.getByRole("listitem").nth(FILLED - 1).waitFor();
  assert.deepEqual(await codes(page), (await messages()).map(({ code }) => code).reverse());
});

scenario("the first load is light, also with a full phone", {}, async (page) => {
  await Promise.all(Array.from({ length: 100 }, () => send(DELIVERED)));
  const finished = [];
  page.on("requestfinished", (request) => finished.push(request));
  await openLive(page);
  await page.getByRole("listitem").nth(99).waitFor();
  await eventually("the list is loaded", () => finished.some((request) => request.url().endsWith("/sandbox/messages")));
  let weight = 0;
  for (const request of finished) {
    const { responseHeadersSize, responseBodySize } = await request.sizes();
    weight += responseHeadersSize + responseBodySize;
  }
  assert.ok(finished.length >= 4, "page, style, script and list");
  assert.ok(weight <= FIRST_LOAD_MAX, `${weight} bytes`);
  console.log(`first load: ${weight} bytes in ${finished.length} answers`);
});

for (const content of ["empty", "full"]) {
  // Without motion: a bubble that is still fading in has other contrasts.
  scenario(`everybody can use the page while it is ${content}`, { reducedMotion: "reduce" }, async (page) => {
    if (content === "full") await fill();
    await openLive(page);
    const last = content === "full" ? page.getByRole("listitem").nth(FILLED - 1) : page.getByText("No codes yet");
    await last.waitFor();
    // Evaluated by the debugger, which the page's policy does not bind.
    await page.evaluate(axe.source);
    for (const [colorScheme, width] of [["light", 1280], ["light", 320], ["dark", 320], ["dark", 1280]]) {
      const look = `${colorScheme}-${content}-${width}`;
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 900 });
      const { violations } = await page.evaluate(() => axe.run({ resultTypes: ["violations"] }));
      const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(" ")).join(", ")}`);
      assert.deepEqual(found, [], look);
      const overhang = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(overhang <= 0, `${look}: the page is ${overhang} px too wide`);
      if (SCREENSHOTS) {
        await mkdir(SCREENSHOTS, { recursive: true });
        await page.screenshot({ path: `${SCREENSHOTS}/sandbox-${look}.png`, fullPage: true });
      }
    }
  });
}
