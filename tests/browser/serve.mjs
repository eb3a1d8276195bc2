// A gateway of one's own, which can be stopped and started again.

import { spawn } from "node:child_process";
import { mkdtemp } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { after } from "node:test";

/** A port that nobody listens on: an address that is known before the gateway is there, and is the same after a restart. */
const freePort = () => new Promise((resolve) => {
  const probe = createServer().listen(0, "127.0.0.1", () => {
    const { port } = probe.address();
    probe.close(() => resolve(port));
  });
});

export class Gateway {
  #flags;
  #running;

  /** One that is not started yet, in a directory of its own; it ends with the suite. */
  static async prepare() {
    const gateway = new Gateway();
    gateway.home = await mkdtemp(`${tmpdir()}/gateway-`);
    gateway.data = `${gateway.home}/data`;
    gateway.address = `127.0.0.1:${await freePort()}`;
    gateway.url = `http://${gateway.address}`;
    after(() => gateway.stop());
    return gateway;
  }

  /** Starts it, and lets the suite's calls go to it. */
  async start(flags = this.#flags ?? []) {
    this.#flags = flags;
    const all = ["dev", "--listen", this.address, "--data", this.data, "--token", process.env.GATEWAY_TOKEN, ...flags];
    const running = spawn(process.env.GATEWAY_BINARY, all, { cwd: this.home, stdio: ["ignore", "pipe", "inherit"] });
    await new Promise((resolve, reject) => {
      running.once("exit", (code) => reject(new Error(`the gateway ended with ${code} before it was ready`)));
      let said = "";
      running.stdout.on("data", (chunk) => {
        said += chunk;
        if (/^ready /m.test(said)) resolve();
      });
    });
    this.#running = running;
    process.env.GATEWAY_URL = this.url;
    process.env.GATEWAY_DATA = this.data;
  }

  async stop() {
    const running = this.#running;
    if (!running || running.exitCode !== null) return;
    const ended = new Promise((resolve) => running.once("exit", resolve));
    running.kill();
    await ended;
  }
}
