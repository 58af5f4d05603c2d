// One daemon as its operator meets it: start, readiness, a second one refused, reload, kill -9 and adoption,
// graceful stop, and the start that cannot be.
import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { createClient } from "@holdfast/api";
import { nodeFetch } from "@holdfast/api/node";

const MAIN = fileURLToPath(new URL("../../packages/cli/src/main.ts", import.meta.url));
const name = `hf-daemon-${process.pid}`;
const pins = `/sys/fs/bpf/${name}`;
const ip = (...args: string[]) => execFileSync("ip", args, { stdio: ["ignore", "pipe", "pipe"] });

interface Started {
  readonly child: ChildProcess;
  /** Standard output and error so far. */
  text(): string;
  readonly ended: Promise<number | null>;
}

async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  limitMs = 15_000,
): Promise<void> {
  const limit = performance.now() + limitMs;
  while (!(await condition())) {
    assert.ok(performance.now() < limit, `waited too long until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe("a daemon", () => {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-daemon-"));
  const socket = join(directory, "api.sock");
  const file = join(directory, "holdfast.yaml");
  const client = createClient({ url: "http://localhost", fetch: nodeFetch({ socketPath: socket }) });
  const children: ChildProcess[] = [];

  function configure(more = ""): void {
    writeFileSync(
      file,
      `member: { name: m0 }
interfaces: [{ name: path0, role: [path, core] }]
dataPlane: { pinDirectory: ${pins}, flowCountMax: 1024 }
store: { directory: "" }
api: { listen: "unix:${socket}" }
services:
  - { name: amf, vips: [203.0.113.1], port: 38412, endpoints: [{ address: 100.64.0.2, port: 38412 }] }
${more}`,
    );
  }

  function start(): Started {
    let text = "";
    const child = spawn(
      "nsenter",
      [`--net=/run/netns/${name}`, process.execPath, MAIN, "run", "--config", file],
      {
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    children.push(child);
    child.stdout?.on("data", (data) => (text += data));
    child.stderr?.on("data", (data) => (text += data));
    return {
      child,
      text: () => text,
      ended: new Promise((resolve) => child.once("exit", (code) => resolve(code))),
    };
  }
  const isReady = async () => {
    try {
      return existsSync(socket) && (await client.ready()).status === "ok";
    } catch {
      return false;
    }
  };

  before(() => {
    ip("netns", "add", name);
    ip("-n", name, "link", "add", "path0", "type", "veth", "peer", "name", "far0");
    ip("-n", name, "addr", "add", "100.64.0.1/24", "dev", "path0");
    for (const link of ["lo", "path0", "far0"]) ip("-n", name, "link", "set", link, "up");
    configure();
  });
  after(() => {
    for (const child of children) if (child.exitCode === null) child.kill("SIGKILL");
    ip("netns", "del", name);
    rmSync(pins, { recursive: true, force: true });
    rmSync(directory, { recursive: true });
  });

  let daemon: Started;

  test("starts, owns its VIP, and says so", async () => {
    daemon = start();
    await until("the member is ready", isReady).catch((error: Error) => {
      throw new Error(`${error.message}\n${daemon.text()}`);
    });
    await until("the VIP is owned", async () => (await client.listVips())[0]?.owner === "m0");
    const [vip] = await client.listVips();
    assert.deepEqual(
      vip?.announcements.map((a) => a.interface),
      ["path0"],
    );
    assert.equal((await client.status()).fastPath, "tc");
    assert.match(await client.metrics(), /holdfast_ready 1/);
  });

  test("a second one on the same data plane is refused with the way out", async () => {
    const second = start();
    assert.equal(await second.ended, 5);
    assert.match(second.text(), /Another holdfast runs here already.*\n.*Stop it first/);
    assert.ok(await isReady());
  });

  test("SIGHUP applies what can change and refuses the rest as a whole", async () => {
    configure("log: { level: debug }\n");
    daemon.child.kill("SIGHUP");
    await until("the reload is told", () => daemon.text().includes("reload: applied"));
    configure("coordinator: { probeIntervalMs: 20 }\nclientPrefixes: [10.0.0.0/8]\n");
    daemon.child.kill("SIGHUP");
    await until("the refusal is told", () =>
      daemon.text().includes("reload refused: coordinator.probeIntervalMs"),
    );
    configure("cordinator: {}\n");
    daemon.child.kill("SIGHUP");
    await until("the mistake is told", () => daemon.text().includes("cordinator is not a known field"));
    configure();
    assert.ok(await isReady());
  });

  test("killed, its data plane stays, and the next start adopts it", async () => {
    daemon.child.kill("SIGKILL");
    await daemon.ended;
    assert.ok(existsSync(join(pins, "maps")));
    daemon = start();
    await until("the member is ready again", isReady);
    assert.match(daemon.text(), /fast path adopted with its flows/);
  });

  test("SIGTERM hands over, stops, and leaves the data plane", async () => {
    daemon.child.kill("SIGTERM");
    assert.equal(await daemon.ended, 0);
    assert.match(daemon.text(), /member stopped/);
    assert.ok(existsSync(join(pins, "maps")));
  });

  test("an interface that is not there ends the start with its name and the way out", async () => {
    writeFileSync(
      file,
      `interfaces: [{ name: eth77, role: path }]\ndataPlane: { pinDirectory: ${pins} }\nstore: { directory: "" }\n`,
    );
    const failed = start();
    assert.notEqual(await failed.ended, 0);
    assert.match(failed.text(), /eth77/);
    assert.match(failed.text(), /\(INTERFACE_MISSING\)/);
  });
});
