// The BPF programs against the reference translator: the same packets, and the bytes must be equal.

import assert from "node:assert/strict";
import type { FlowKey, PlainEntry, PlainFlows, Punt } from "@holdfast/forwarder";
import { Engine, echoReply, type Verdict } from "@holdfast/forwarder/testing";
import { CounterMap, SharedPlanes, type TestProgram, TestRunner } from "@holdfast/forwarder/testing/programs";
import { addressFromBytes } from "@holdfast/model";
import { IpHeader, PROTOCOL } from "@holdfast/sctp";
import type { PacketWorld } from "@holdfast/testkit";

const RATES_UNLIMITED = Object.fromEntries(
  [
    "init",
    "initAck",
    "control",
    "handshake",
    "miss",
    "wrongTag",
    "learn",
    "icmp",
    "fragment",
    "asconf",
    "noNextHop",
    "ttlExpired",
    "tooBig",
    "ndp",
    "syn",
    "synAck",
    "datagram",
    "end",
  ].map((reason) => [reason, 1e9]),
);

const V6_SOLICITATION = 135;
const V6_ADVERTISEMENT = 136;
/** RFC 4861 §4.3: type, code, checksum, reserved, target. */
const V6_DISCOVERY_SIZE_MIN = 24;
const V6_TARGET_OFFSET = 48;

const { load } = new SharedPlanes();

interface Side {
  readonly engine: Engine;
  readonly runner: TestRunner;
  readonly counters: CounterMap;
}

export interface OracleOptions {
  /** Default: both. */
  readonly programs?: readonly TestProgram[];
  /** What the reference has instead of the world. */
  readonly told?: PacketWorld;
  /** Of every way out; default: anything fits. */
  readonly mtu?: number;
}

/** For each program a pair of tables with the same contents, and the program. */
export class Oracle {
  readonly #sides = new Map<TestProgram, Side>();
  readonly #punts: Punt[] = [];
  readonly #ignored = {
    xdp: { reference: new Map<string, number>(), bpf: new Map<string, number>() },
    tc: { reference: new Map<string, number>(), bpf: new Map<string, number>() },
  };
  readonly #header = new IpHeader();
  readonly #local: ReadonlySet<string>;
  readonly compared = { forwarded: 0, punted: 0, dropped: 0, passed: 0, answered: 0 };

  constructor(world: PacketWorld, { programs = ["xdp", "tc"], told = world, mtu }: OracleOptions = {}) {
    this.#local = new Set(world.local.map(({ address }) => address));
    for (const program of programs) {
      const runner = runnerOf(world, mtu);
      // Else the first packet has it verified, and would be taken for one that costs half a second.
      if (program === "xdp") runner.plane.loadXdp();
      const counters = new CounterMap(runner.plane.maps.hf_counters);
      this.#sides.set(program, { engine: this.#engine(told, mtu), runner, counters });
    }
  }

  #side(program: TestProgram): Side {
    return this.#sides.get(program) ?? assert.fail(`the oracle is not of ${program}`);
  }

  /**
   * Runs both on the packet; undefined when they agree, otherwise what they do not agree in. `unfinished`:
   * its checksum looks as if a device were to fill it in.
   */
  compare(
    program: TestProgram,
    packet: Uint8Array,
    unfinished: boolean = this.#hasZeroChecksum(packet),
  ): string | undefined {
    const bytes = packet.slice();
    this.#punts.length = 0;
    const { engine, runner } = this.#side(program);
    // The kernel's test run takes no TC packet without a whole IP header.
    if (program === "tc" && packet.length < ((packet[0] as number) >>> 4 === 4 ? 20 : 40)) return undefined;
    if (program === "xdp" && unfinished) {
      // XDP leaves what a local stack has not finished to TC; the reference must not learn from it either.
      const result = this.#runBpfAlone(program, packet);
      if (result.action === "redirect") return "forwarded a packet whose checksum is not filled in";
      return undefined;
    }
    const verdict = engine.process({
      bytes,
      size: bytes.length,
      interfaceIndex: 1,
      checksumPartial: false,
    });
    const size = engine.packetSize;
    engine.deliver(16);
    if (this.#isNeighbourDiscovery(packet)) return this.#compareDiscovery(program, verdict, packet);
    const result = runner.run(program, packet);
    const difference =
      differenceInAction(verdict, result.action) ?? differenceInPunts(this.#punts, result.punts);
    if (difference !== undefined) return difference;
    switch (verdict.action) {
      case "forward":
      case "forwardPlain":
        this.compared.forwarded++;
        return differenceInBytes(bytes.subarray(0, size), result.packet.subarray(0, size));
      case "answer":
        this.compared.answered++;
        if (verdict.what !== "echo" || result.action !== "redirect") return undefined;
        return differenceInBytes(echoReply(packet, packet.length), result.packet.subarray(0, size));
      case "punt":
        this.compared.punted++;
        return undefined;
      case "drop":
        this.compared.dropped++;
        return undefined;
      case "pass":
        this.compared.passed++;
        return undefined;
    }
  }

  /** Drop totals of both, which must be equal after the same packets. */
  drops(program: TestProgram): { reference: Map<string, number>; bpf: Map<string, number> } {
    const only = (totals: ReadonlyMap<string, number>, ignored: ReadonlyMap<string, number>) =>
      new Map(
        [...totals]
          .map(([name, count]): [string, number] => [name, count - (ignored.get(name) ?? 0)])
          .filter(([name, count]) => name.startsWith("drop.") && count > 0)
          .sort(),
      );
    const { reference, bpf } = this.#ignored[program];
    const { engine, counters } = this.#side(program);
    return {
      reference: only(engine.totals, reference),
      bpf: only(counters.totals(), bpf),
    };
  }

  /** Changes both tables of TCP's and UDP's flows alike. */
  plain(program: TestProgram, change: (table: PlainFlows) => void): void {
    for (const table of this.#plainTables(program)) change(table);
  }

  /** What reference and BPF have. */
  readPlain(program: TestProgram, key: FlowKey): (PlainEntry | undefined)[] {
    return this.#plainTables(program).map((table) => table.read(key));
  }

  #plainTables(program: TestProgram): readonly PlainFlows[] {
    const { engine, runner } = this.#side(program);
    return [engine.tables.plain, runner.plain];
  }

  close(): void {
    for (const { runner } of this.#sides.values()) runner.close();
  }

  #engine(world: PacketWorld, mtu: number | undefined): Engine {
    let now = 0;
    const ways = mtu === undefined ? {} : { egress: () => ({ mtu }) };
    // A second a packet: no budget is ever used up.
    const engine = new Engine({ nowMs: () => (now += 1_000), puntRates: RATES_UNLIMITED, ...ways });
    engine.tables.setLocal(world.local);
    engine.tables.setEndpoints(world.endpoints);
    for (const flow of world.flows) engine.tables.install(flow);
    engine.onPunt((punt) => this.#punts.push(punt));
    return engine;
  }

  /**
   * The reference decides neighbour discovery by the packet's destination, the programs by the target that it
   * is about, which is what matters on a wire. Here only: what is for or about a local address is kept from
   * the host by both, and all else left to it.
   */
  #compareDiscovery(program: TestProgram, verdict: Verdict, packet: Uint8Array): string | undefined {
    const { action } = this.#runBpfAlone(program, packet);
    if (verdict.action === "drop") this.#ignore(program, "reference", `drop.${verdict.reason}`, 1);
    const kept = verdict.action !== "pass" || this.#isAboutLocal(packet);
    if (kept === (action !== "pass")) return undefined;
    return `neighbour discovery: reference ${verdict.action}, BPF ${action}`;
  }

  #isAboutLocal(packet: Uint8Array): boolean {
    const payloadSize = ((packet[4] as number) << 8) | (packet[5] as number);
    if (packet[6] !== PROTOCOL.ICMPV6 || payloadSize < V6_DISCOVERY_SIZE_MIN) return false;
    const target = addressFromBytes(packet, V6_TARGET_OFFSET, 16);
    return this.#local.has(target);
  }

  /** What the programs count here the reference has not counted. */
  #runBpfAlone(program: TestProgram, packet: Uint8Array): ReturnType<TestRunner["run"]> {
    const { runner, counters } = this.#side(program);
    const before = counters.totals();
    const result = runner.run(program, packet);
    for (const [name, count] of counters.totals()) {
      const made = count - (before.get(name) ?? 0);
      if (made > 0) this.#ignore(program, "bpf", name, made);
    }
    return result;
  }

  #ignore(program: TestProgram, side: "bpf" | "reference", name: string, count: number): void {
    const ignored = this.#ignored[program][side];
    ignored.set(name, (ignored.get(name) ?? 0) + count);
  }

  #isNeighbourDiscovery(packet: Uint8Array): boolean {
    const header = this.#header;
    if (header.read(packet) !== undefined || header.protocol !== PROTOCOL.ICMPV6) return false;
    const type = packet[header.payloadOffset];
    return type === V6_SOLICITATION || type === V6_ADVERTISEMENT;
  }

  #hasZeroChecksum(packet: Uint8Array): boolean {
    const header = this.#header;
    if (header.read(packet) !== undefined || header.fragment || header.protocol !== PROTOCOL.SCTP)
      return false;
    const at = header.payloadOffset + 8;
    return at + 4 <= header.end && packet.subarray(at, at + 4).every((byte) => byte === 0);
  }
}

function runnerOf(world: PacketWorld, mtu: number | undefined): TestRunner {
  const made = new TestRunner({ flowCountMax: 65_536, load, ...(mtu !== undefined && { mtu }) });
  made.local.setLocal(world.local);
  made.local.setEndpoints(world.endpoints);
  for (const flow of world.flows) made.flows.install(flow);
  return made;
}

function differenceInPunts(expected: readonly Punt[], found: readonly Punt[]): string | undefined {
  const text = (punts: readonly Punt[]) =>
    JSON.stringify(
      punts.map(({ reason, session, copy, checksumPartial, packet }) => [
        reason,
        session,
        copy,
        checksumPartial,
        Buffer.from(packet).toString("hex"),
      ]),
    );
  return text(expected) === text(found) ? undefined : `punts ${text(expected)}, BPF ${text(found)}`;
}

function differenceInBytes(expected: Uint8Array, found: Uint8Array): string | undefined {
  const [a, b] = [Buffer.from(expected), Buffer.from(found)];
  return a.equals(b) ? undefined : `bytes ${a.toString("hex")}, BPF ${b.toString("hex")}`;
}

function withoutBytes(key: string, value: unknown): unknown {
  return key === "entry" || key === "destination" ? undefined : value;
}

function differenceInAction(verdict: Verdict, action: string): string | undefined {
  const expected = {
    pass: "pass",
    drop: "drop",
    punt: "drop",
    answer: "redirect",
    forward: "redirect",
    forwardPlain: "redirect",
  };
  if (action === expected[verdict.action]) return undefined;
  return `reference ${JSON.stringify(verdict, withoutBytes)}, BPF ${action}`;
}
