// Probes over real raw sockets: an answering endpoint on the loopback, and a host without SCTP behind a veth,
// whose kernel answers "protocol unreachable".
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { type Address, type HealthCheck, parseAddress, systemClock, systemRandom } from "@holdfast/model";
import {
  type Chunk,
  encodeInitAck,
  encodePacket,
  encodeParameter,
  isMalformed,
  PARAMETER,
  parseInit,
  parsePacket,
} from "@holdfast/sctp";
import { HealthProber } from "./prober.ts";
import { RawProbeChannel } from "./raw-probe-channel.ts";

const ENDPOINT_PORT = 7_431;
const SETTINGS = { periodMs: 100, timeoutMs: 80 };
const WAIT_MS = 10_000;

function firstVerdict(
  address: Address,
  check: HealthCheck = { kind: "sctp" },
): Promise<{ verdict: string | undefined; reason: string }> {
  const channel = new RawProbeChannel();
  return new Promise((resolve, reject) => {
    const limit = setTimeout(() => reject(new Error("no verdict")), WAIT_MS);
    const prober = new HealthProber({
      channel,
      clock: systemClock,
      random: systemRandom(),
      settings: SETTINGS,
      verdict: (_endpoint, verdict, reason) => {
        clearTimeout(limit);
        prober.stop();
        resolve({ verdict, reason });
      },
    });
    prober.setEndpoints([{ address, port: ENDPOINT_PORT, check }]);
  });
}

// The part that runs inside a namespace.
if (process.argv[2] === "probe") {
  console.log(JSON.stringify(await firstVerdict(parseAddress(process.argv[3] as string))));
  process.exit(0);
}

for (const address of ["127.0.0.1", "::1"] as const) {
  test(`an endpoint that answers is up: ${address}`, async () => {
    const endpoint = new RawProbeChannel();
    endpoint.onPacket((bytes) => {
      const packet = parsePacket(bytes);
      if (isMalformed(packet) || packet.destinationPort !== ENDPOINT_PORT) return;
      const init = parseInit(packet.chunks[0] as Chunk);
      if (isMalformed(init)) return;
      const parameters = [encodeParameter(PARAMETER.STATE_COOKIE, new Uint8Array(8))];
      endpoint.send(
        address,
        encodePacket({
          sourcePort: ENDPOINT_PORT,
          destinationPort: packet.sourcePort,
          verificationTag: init.initiateTag,
          chunks: [encodeInitAck({ initiateTag: 9, parameters })],
        }),
      );
    });
    try {
      assert.equal((await firstVerdict(address)).verdict, "up");
    } finally {
      endpoint.close();
    }
  });
}

for (const address of ["127.0.0.1", "::1"] as const) {
  test(`a host that answers pings is up: ${address}`, async () => {
    assert.equal((await firstVerdict(address, { kind: "ping" })).verdict, "up");
  });
}

const ip = (...args: string[]) => execFileSync("ip", args, { stdio: "pipe" });

test("protocol unreachable is down at once", async () => {
  const id = `${process.pid}${Math.floor(performance.now()) % 1_000}`;
  const [near, far] = [`hf-probe-a-${id}`, `hf-probe-b-${id}`];
  const inside = (name: string, ...args: string[]) =>
    execFileSync("nsenter", [`--net=/run/netns/${name}`, "ip", ...args], { stdio: "pipe" });
  try {
    ip("netns", "add", near);
    ip("netns", "add", far);
    inside(near, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", far);
    inside(near, "addr", "add", "10.77.0.1/24", "dev", "eth0");
    inside(far, "addr", "add", "10.77.0.2/24", "dev", "eth0");
    for (const name of [near, far]) inside(name, "link", "set", "eth0", "up");
    const child = spawn(
      "nsenter",
      [`--net=/run/netns/${near}`, process.execPath, fileURLToPath(import.meta.url), "probe", "10.77.0.2"],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    const [line] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
    assert.deepEqual(JSON.parse(line), { verdict: "down", reason: "refused (ICMP)" });
  } finally {
    for (const name of [near, far]) {
      try {
        ip("netns", "del", name);
      } catch {
        // Was never made.
      }
    }
  }
});
