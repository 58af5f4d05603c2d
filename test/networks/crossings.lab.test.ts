// Packets that leave by a veth into another network namespace: through the interface, where captures see
// them; or, if the operator says so, handed to its other end while nobody waits for them at the interface,
// and through its queue when one does.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import * as forwarder from "@holdfast/forwarder";
import { PROTOCOL } from "@holdfast/sctp";
import { Generator } from "../bench/forward/generator.ts";
import { fill, type HandOver, openSubject } from "../bench/forward/subject.ts";
import { type Family, IPV4, IPV6, inside, Testbed } from "../bench/forward/testbed.ts";
import { traffic } from "../bench/forward/traffic.ts";

const PACKET_COUNT = 64;
const FLOW_COUNT = 4;
const WAIT_MS = 60_000;
const MARKER_PORT = 9;

interface Counts {
  /** By the device's way out. */
  readonly sent: number;
  readonly arrived: number;
}

class Bench {
  readonly #testbed: Testbed;
  readonly #generator = new Generator();
  readonly #family: Family;

  constructor(testbed: Testbed, family: Family) {
    this.#testbed = testbed;
    this.#family = family;
  }

  /** How PACKET_COUNT packets went. */
  async send(): Promise<Counts> {
    const before = this.#counts();
    inside(this.#testbed.generator, () => {
      const what = { flowCount: FLOW_COUNT, size: 100, protocol: PROTOCOL.SCTP, family: this.#family };
      this.#generator.prepare(traffic(this.#testbed, what));
      this.#generator.send(PACKET_COUNT);
    });
    const passed = () => {
      const now = this.#counts();
      return { sent: now.sent - before.sent, arrived: now.arrived - before.arrived };
    };
    await until("all packets arrive", () => passed().arrived >= PACKET_COUNT);
    return passed();
  }

  #counts(): Counts {
    const of = (namespace: string, device: string) => {
      const [link] = JSON.parse(this.#testbed.run(namespace, `ip -j -s link show ${device}`));
      return link.stats64;
    };
    return {
      sent: of(this.#testbed.device, "dut1").tx.packets,
      arrived: of(this.#testbed.sink, "sink0").rx.packets,
    };
  }
}

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = performance.now() + WAIT_MS; !(await condition()); await delay(20))
    assert.ok(performance.now() < end, `${what} in ${WAIT_MS} ms`);
}

/**
 * What `tcpdump` shows at the device's own interface of what leaves there while `action` runs; cut short,
 * since its ring holds 32 of 64 KiB.
 */
async function capturedOf(
  testbed: Testbed,
  family: Family,
  action: () => Promise<unknown>,
): Promise<string[]> {
  const child = spawn(
    "nsenter",
    [
      `--net=/run/netns/${testbed.device}`,
      ...["tcpdump", "-i", "dut1", "-Q", "out", "-n", "-l", "-s", "128", "--immediate-mode"],
      `sctp or (udp and port ${MARKER_PORT})`,
    ],
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  const ended = once(child, "exit");
  try {
    const [said, shown] = [createInterface(child.stderr), createInterface(child.stdout)];
    for await (const line of said) if (line.includes("listening on")) break;
    await action();
    inside(testbed.device, () => sendMarker(family));
    const lines: string[] = [];
    for await (const line of shown) {
      if (line.includes(`.${MARKER_PORT}: UDP`)) return lines;
      lines.push(line);
    }
    return assert.fail("tcpdump has ended");
  } finally {
    child.kill();
    await ended;
  }
}

/** From this host's own stack, behind all that was forwarded before. */
function sendMarker({ endpoint }: Family): void {
  const script = `require("node:dgram").createSocket(process.argv[1].includes(":") ? "udp6" : "udp4")
    .send("end", ${MARKER_PORT}, process.argv[1], () => process.exit(0))`;
  execFileSync(process.execPath, ["-e", script, endpoint]);
}

async function withSubject(
  handOver: HandOver,
  family: Family,
  action: (bench: Bench, testbed: Testbed) => Promise<void>,
): Promise<void> {
  const testbed = new Testbed(`hf-cross-${process.pid}-${handOver}-${family.name}`, family);
  const fastPath = await inside(testbed.device, () => openSubject(forwarder, "tc", handOver));
  try {
    inside(testbed.device, () => fill(fastPath, PROTOCOL.SCTP, family, FLOW_COUNT));
    await action(new Bench(testbed, family), testbed);
  } finally {
    await inside(testbed.device, () => fastPath.uninstall());
    testbed.close();
  }
}

for (const family of [IPV4, IPV6]) {
  test(`${family.name}: by default packets leave by the interface, and captures there see them`, () =>
    withSubject("none", family, async (bench, testbed) => {
      const seen = await capturedOf(testbed, family, async () => {
        assert.ok((await bench.send()).sent >= PACKET_COUNT);
      });
      assert.equal(seen.length, PACKET_COUNT);
    }));

  test(`${family.name}: asked for, packets cross to another network namespace, and a queue gets what it waits for`, () =>
    withSubject("veth", family, async (bench, testbed) => {
      const seen = await capturedOf(testbed, family, async () => {
        assert.equal((await bench.send()).sent, 0);
      });
      assert.deepEqual(seen, []);
      for (const [come, go] of [
        ["tc qdisc add dev dut1 root pfifo", "tc qdisc del dev dut1 root"],
        ["tc qdisc add dev dut1 clsact", "tc qdisc del dev dut1 clsact"],
      ] as const) {
        testbed.run(testbed.device, come);
        await until(`after '${come}' packets leave by the device`, async () => (await bench.send()).sent > 0);
        testbed.run(testbed.device, go);
        await until(`after '${go}' packets cross`, async () => (await bench.send()).sent === 0);
      }
    }));
}
