// What pages do while the server is away, and when it comes back with much to do.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { Gateway } from "./serve.mjs";

const run = promisify(execFile);
const gateway = await Gateway.prepare();
// A past, of which a part is going to be lost.
await gateway.start();
await gateway.stop();
await run(process.env.GATEWAY_BINARY, ["seed", "--requests", "30000", "--days", "5", "--data", gateway.data]);
await gateway.start();
const { scenario } = await import("./browser.mjs");
const { live, logIn } = await import("./console.mjs");
const { DELIVERED, send } = await import("./gateway.mjs");

/** More lost reports than one step of a recovery takes on. */
const LOST_MIN = 10_001;

// As after a receiver was away for two days, which to wait for takes too long. Nobody listens where it is now.
const LOSE = `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("UPDATE report SET state = 'lost', receiver = 'http://127.0.0.1:9'")
db.execute("UPDATE request SET callback_url = 'http://127.0.0.1:9/' WHERE callback_url IS NOT NULL")
db.commit()
print(db.execute("SELECT count(*) FROM report").fetchone()[0])
`;

scenario("when the server comes back, so does what happened meanwhile", {}, async (page, complaints) => {
  await logIn(page);
  await page.goto("/requests");
  await live(page);
  await gateway.stop();
  await page.locator("#live").getByText("reconnecting…").waitFor();
  await page.getByRole("heading", { name: "Requests", exact: true }).waitFor();
  await gateway.start();
  const { id } = await send(DELIVERED);
  await live(page);
  await page.locator("#list tbody tr").filter({ hasText: id }).waitFor();
  complaints.length = 0; // the browser tells of what it could not load
});

scenario("long work goes on by itself, and says how far it is", { timeout: 60_000 }, async (page, complaints) => {
  await gateway.stop();
  const { stdout } = await run("python3", ["-c", LOSE, `${gateway.data}/chappe.db`]);
  assert.ok(Number(stdout) >= LOST_MIN, `only ${stdout} reports`);
  await gateway.start();
  await logIn(page);
  await page.goto("/reports");
  await page.getByLabel("Those of requests since (UTC)").fill("2026-01-01T00:00");
  const steps = [];
  page.on("response", (answer) => {
    if (answer.request().method() === "POST") steps.push(answer.status());
  });
  await page.getByRole("button", { name: "Send all of them again" }).click();
  await page.getByText("The lost reports are on their way again.").waitFor({ timeout: 30_000 });
  assert.deepEqual(steps, [200, 303], "one step shows how far it is, and the next one is the last");
  complaints.length = 0;
});
