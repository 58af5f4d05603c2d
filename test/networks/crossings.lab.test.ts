// Packets that leave by a veth into another network namespace: handed to its other end while nobody waits for
// them at the interface, and through its queue when one does.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import * as forwarder from "@holdfast/forwarder";
import { PROTOCOL } from "@holdfast/sctp";
import { Generator } from "../bench/forward/generator.ts";
import { fill, openSubject } from "../bench/forward/subject.ts";
import { type Family, IPV4, IPV6, inside, Testbed } from "../bench/forward/testbed.ts";
import { traffic } from "../bench/forward/traffic.ts";

const PACKET_COUNT = 64;
const FLOW_COUNT = 4;
const WAIT_MS = 60_000;

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

for (const family of [IPV4, IPV6])
  test(`${family.name}: packets cross to another network namespace, and a queue gets what it waits for`, async () => {
    const testbed = new Testbed(`hf-cross-${process.pid}-${family.name}`, family);
    const fastPath = await inside(testbed.device, () => openSubject(forwarder, "tc"));
    try {
      inside(testbed.device, () => fill(fastPath, PROTOCOL.SCTP, family, FLOW_COUNT));
      const bench = new Bench(testbed, family);
      assert.equal((await bench.send()).sent, 0);
      for (const [come, go] of [
        ["tc qdisc add dev dut1 root pfifo", "tc qdisc del dev dut1 root"],
        ["tc qdisc add dev dut1 clsact", "tc qdisc del dev dut1 clsact"],
      ] as const) {
        testbed.run(testbed.device, come);
        await until(`after '${come}' packets leave by the device`, async () => (await bench.send()).sent > 0);
        testbed.run(testbed.device, go);
        await until(`after '${go}' packets cross`, async () => (await bench.send()).sent === 0);
      }
    } finally {
      await inside(testbed.device, () => fastPath.uninstall());
      testbed.close();
    }
  });
