// The reference translator is the oracle: the same packets through it and through the BPF programs. Verdict, reason,
// bytes and punts must be equal.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { type Address, addressBytes, seededRandom } from "@holdfast/model";
import { encodeIp } from "@holdfast/sctp";
import { type GeneratedPacket, generatePacket, type PacketWorld, packetWorld } from "@holdfast/testkit";
import { echoReply } from "../../packages/forwarder/src/fast-path/answer/echo.ts";
import { INTERFACE } from "../../packages/forwarder/src/fast-path/bpf/abi.ts";
import {
  type BpfFastPath,
  openBpfFastPath,
} from "../../packages/forwarder/src/fast-path/bpf/bpf-fast-path.ts";
import { libbpf } from "../../packages/forwarder/src/fast-path/bpf/native.ts";
import type { PuntBudgets } from "../../packages/forwarder/src/fast-path/bpf/state.ts";
import { labObstacle, macText, makeLinks } from "../../packages/forwarder/src/fast-path/compliance/lab.ts";
import { CLIENT_MTU, CORE_MTU } from "../../packages/forwarder/src/fast-path/compliance/world.ts";
import type { Flow, Punt, PuntReason } from "../../packages/forwarder/src/fast-path/port.ts";
import { Engine } from "../../packages/forwarder/src/fast-path/reference/engine.ts";
import { ProgramRun, RUN_SIZE_MAX, RUN_SIZE_MIN } from "./program-run.ts";

const PACKET_COUNT = 100_000;
const XDP_PACKET_COUNT = 20_000;
/** Punts wait in rings meanwhile. */
const BATCH_COUNT = 500;

const UNLIMITED = Object.fromEntries(
  ["PROVEN", "INIT", "INIT_ACK", "HANDSHAKE", "MISS", "WRONG_TAG", "ERROR", "BULK", "PREFIX", "FLOW"].map(
    (name) => [name, { perSecond: Number.POSITIVE_INFINITY, burst: 1 }],
  ),
) as unknown as PuntBudgets;
const REASONS: readonly PuntReason[] = ["wrongTag", "miss", "learn", "icmp", "init", "initAck", "control"];
const UNRATED = Object.fromEntries(
  [...REASONS, "handshake", "fragment", "asconf", "noNextHop", "ttlExpired", "tooBig", "ndp"].map(
    (reason) => [reason, 1e12],
  ),
);

/** Action numbers of a hook. */
interface Hook {
  readonly name: "tc" | "xdp";
  readonly pass: number;
  readonly drop: number;
  readonly redirect: number;
  /** An answer, out of the interface it came by. */
  readonly reflect: number;
}

// TC_ACT_UNSPEC, TC_ACT_SHOT, TC_ACT_REDIRECT; XDP_PASS, XDP_DROP, XDP_REDIRECT.
const TC: Hook = { name: "tc", pass: -1, drop: 2, redirect: 7, reflect: 7 };
const XDP: Hook = { name: "xdp", pass: 2, drop: 1, redirect: 4, reflect: 4 };

/** Every destination of the world has a next hop with a link-layer address. */
function makeRoutes(): void {
  const { facts } = makeLinks();
  const ip = (...words: string[]) => execFileSync("ip", words);
  const core = macText(facts.core0.mac);
  ip("neigh", "replace", "10.9.0.21", "lladdr", core, "dev", "hfcore", "nud", "permanent");
  ip("route", "replace", "10.0.0.0/8", "via", "10.1.0.10", "dev", "hfclient");
  ip("route", "replace", "fd00::/8", "via", "fd00:1::10", "dev", "hfclient");
}

function mtuTowards(destination: Uint8Array): number {
  const core = destination.length === 4 ? destination[1] === 9 : destination[3] === 9;
  return core ? CORE_MTU : CLIENT_MTU;
}

interface Pair {
  readonly engine: Engine;
  readonly bpf: BpfFastPath;
  readonly expected: Punt[];
  readonly actual: Punt[];
}

async function openPair(world: PacketWorld): Promise<Pair> {
  makeRoutes();
  const bpf = await openBpfFastPath({
    mode: "tc",
    interfaces: ["hfclient", "hfcore"],
    flowCountMax: 4096,
    deadAfterMs: 3_600_000,
    puntBudgets: UNLIMITED,
  });
  const engine = new Engine({
    nowMs: () => 0,
    puntRates: UNRATED,
    egress: (destination) => ({ mtu: mtuTowards(destination) }),
  });
  const expected: Punt[] = [];
  const actual: Punt[] = [];
  engine.onPunt((punt) => expected.push(punt));
  bpf.onPunt((punt) => actual.push({ ...punt, packet: punt.packet.slice() }));
  for (const tables of [engine.tables, bpf]) {
    tables.setLocal(world.local);
    tables.setEndpoints(world.endpoints);
    for (const flow of world.flows) assert.ok(tables.install(flow as Flow));
  }
  admitLoopback(bpf);
  bpf.signOfLife();
  bpf.start();
  return { engine, bpf, expected, actual };
}

/** Test runs arrive by the loopback interface; the XDP program takes packets from interfaces that it knows. */
function admitLoopback(bpf: BpfFastPath): void {
  const key = Buffer.alloc(4);
  key.writeUInt32LE(LOOPBACK_INDEX);
  const value = Buffer.alloc(INTERFACE.SIZE);
  value.writeUInt32LE(LOOPBACK_INDEX, INTERFACE.ifindex);
  assert.equal(libbpf().update(bpf.plane.maps.hf_interfaces, key, value, 0), 0);
}

const LOOPBACK_INDEX = 1;

/** Totals that the two count alike. */
function difference(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>): string {
  const changed: string[] = [];
  for (const [name, value] of after) {
    if (/^(drop|punt|answer)\./.test(name) && value !== (before.get(name) ?? 0)) changed.push(name);
  }
  return changed.sort().join(" ");
}

function puntText(punt: Punt): string {
  const { reason, session, copy, checksumPartial, mtu, packet } = punt;
  return JSON.stringify([
    reason,
    session,
    copy,
    checksumPartial,
    mtu ?? 0,
    Buffer.from(packet).toString("hex"),
  ]);
}

/** Neighbour discovery is compared in the compliance suite: BPF looks at frames, the reference at packets. */
function isNeighbourDiscovery(packet: Uint8Array): boolean {
  return packet[6] === 58 && (packet[40] === 135 || packet[40] === 136) && (packet[0] as number) >>> 4 === 6;
}

/** XDP leaves packets whose checksum may be missing to TC, which sees whether it is. */
function isDeferred(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>): boolean {
  return after.get("defer.packets") !== before.get("defer.packets");
}

class Comparison {
  readonly #pair: Pair;
  readonly #hook: Hook;
  readonly #run: ProgramRun;
  #engineTotals = new Map<string, number>();
  #bpfTotals: ReadonlyMap<string, number>;
  readonly actions = new Map<string, number>();

  constructor(pair: Pair, hook: Hook, program: number) {
    this.#pair = pair;
    this.#hook = hook;
    this.#run = new ProgramRun(program);
    this.#bpfTotals = pair.bpf.totals();
  }

  /** Throws at the first difference, with the packet. */
  compare({ bytes, kind }: GeneratedPacket): void {
    const { engine, bpf } = this.#pair;
    const result = this.#run.run(bytes);
    const bpfTotals = bpf.totals();
    const bpfReason = difference(this.#bpfTotals, bpfTotals);
    const deferred = isDeferred(this.#bpfTotals, bpfTotals);
    this.#bpfTotals = bpfTotals;
    const fail = (what: string) =>
      assert.fail(`${this.#hook.name}, ${kind}: ${what}\npacket ${Buffer.from(bytes).toString("hex")}`);
    if (deferred) {
      if (result.action !== this.#hook.pass || !sameBytes(result.packet, bytes))
        fail("deferred, but changed");
      this.#count("deferred");
      return;
    }

    const copy = bytes.slice();
    const verdict = engine.process({
      bytes: copy,
      size: copy.length,
      interfaceIndex: 1,
      checksumPartial: false,
    });
    const reason = difference(this.#engineTotals, engine.totals);
    this.#engineTotals = new Map(engine.totals);
    if (reason !== bpfReason)
      fail(`reference says "${reason}", BPF "${bpfReason}" (action ${result.action})`);
    let action = this.#hook.drop;
    let expected = bytes;
    switch (verdict.action) {
      case "pass":
        action = this.#hook.pass;
        break;
      case "forward":
        action = this.#hook.redirect;
        expected = copy;
        break;
      case "answer":
        action = this.#hook.reflect;
        // What pads the frame stays behind the reply.
        expected = bytes.slice();
        expected.set(echoReply(bytes, bytes.length));
        break;
    }
    if (result.action !== action) fail(`action ${result.action}, expected ${action}`);
    if (!sameBytes(result.packet, expected)) {
      fail(
        `bytes differ\nBPF       ${Buffer.from(result.packet).toString("hex")}\nreference ${Buffer.from(expected).toString("hex")}`,
      );
    }
    this.#count(verdict.action);
  }

  /** Waits for BPF's punts, and compares them with the reference's, whatever the order of the two rings. */
  async comparePunts(): Promise<void> {
    const { engine, expected, actual, bpf } = this.#pair;
    while (engine.deliver(1_000)) {}
    const end = performance.now() + 10_000;
    while (actual.length < expected.length) {
      if (performance.now() > end) assert.fail(`${actual.length} of ${expected.length} punts came`);
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.deepEqual(actual.map(puntText).sort(), expected.map(puntText).sort());
    actual.length = 0;
    expected.length = 0;
    bpf.signOfLife();
  }

  #count(action: string): void {
    this.actions.set(action, (this.actions.get(action) ?? 0) + 1);
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

async function compareGenerated(hook: Hook, seed: number, count: number): Promise<void> {
  const random = seededRandom(seed);
  const world = packetWorld(random, 40);
  const pair = await openPair(world);
  try {
    const { tcProgram, xdpProgram } = pair.bpf.plane;
    const comparison = new Comparison(pair, hook, hook === TC ? tcProgram : (xdpProgram ?? -1));
    for (let i = 0; i < count; i++) {
      const packet = generatePacket(random, world);
      const { length } = packet.bytes;
      if (length < RUN_SIZE_MIN || length > RUN_SIZE_MAX || isNeighbourDiscovery(packet.bytes)) continue;
      comparison.compare(packet);
      if (i % BATCH_COUNT === BATCH_COUNT - 1) await comparison.comparePunts();
    }
    await comparison.comparePunts();
    // A comparison in which hardly anything happened would prove nothing.
    for (const [action, share] of [
      ["forward", 0.3],
      ["punt", 0.2],
      ["drop", 0.1],
      ["pass", 0.02],
      ["answer", 0.001],
    ] as const) {
      assert.ok(
        (comparison.actions.get(action) ?? 0) > count * share,
        `${action}: ${comparison.actions.get(action)}`,
      );
    }
  } finally {
    await pair.bpf.uninstall();
  }
}

/** Every captured packet, as a flow's own: its ports, its tag. */
async function compareCaptured(hook: Hook): Promise<void> {
  const url = new URL("../vectors/pcap_packets.json", import.meta.url);
  const captured = JSON.parse(readFileSync(url, "utf8")) as { sctp: string }[];
  const [vip, client, endpoint]: Address[] = ["203.0.113.1", "10.1.0.10", "10.9.0.20"];
  for (const { sctp } of captured) {
    const payload = new Uint8Array(Buffer.from(sctp, "hex"));
    const view = new DataView(payload.buffer);
    const flow = {
      key: {
        source: client as Address,
        destination: vip as Address,
        sourcePort: view.getUint16(0),
        destinationPort: view.getUint16(2),
      },
      newSource: vip as Address,
      newDestination: endpoint as Address,
      newSourcePort: 40_001,
      newDestinationPort: 7_000,
      tag: view.getUint32(4),
      direction: "up" as const,
      pending: false,
      heartbeatOnly: false,
      learn: false,
      session: 1,
    };
    const bytes = encodeIp({
      source: addressBytes(client as Address),
      destination: addressBytes(vip as Address),
      payload,
    });
    capturedFlows.push({ flow, bytes });
  }
  const world: PacketWorld = {
    local: [{ address: vip as Address, owned: true, ports: [5_000] }],
    endpoints: [],
    flows: [],
  };
  const pair = await openPair(world);
  try {
    const { tcProgram, xdpProgram } = pair.bpf.plane;
    const comparison = new Comparison(pair, hook, hook === TC ? tcProgram : (xdpProgram ?? -1));
    for (const { flow, bytes } of capturedFlows) {
      pair.engine.tables.install(flow);
      pair.bpf.install(flow);
      comparison.compare({ bytes, kind: "captured" });
    }
    await comparison.comparePunts();
    assert.ok((comparison.actions.get("forward") ?? 0) > 100);
    assert.ok((comparison.actions.get("punt") ?? 0) > 10);
  } finally {
    await pair.bpf.uninstall();
    capturedFlows.length = 0;
  }
}

const capturedFlows: { flow: Flow; bytes: Uint8Array }[] = [];

const skip = labObstacle() ?? false;
for (const hook of [TC, XDP]) {
  test(`${hook.name}: captured packets`, { skip }, () => compareCaptured(hook));
}
test(`tc: ${PACKET_COUNT} generated packets`, { skip }, () => compareGenerated(TC, 1, PACKET_COUNT));
test(`xdp: ${XDP_PACKET_COUNT} generated packets`, { skip }, () =>
  compareGenerated(XDP, 2, XDP_PACKET_COUNT),
);
