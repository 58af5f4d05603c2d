// TCP and UDP between scripted hosts, through one forwarder or several that share their records.
import {
  type Address,
  isPlainEnded,
  PLAIN_SESSIONS,
  type PlainRecord,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  plainPhase,
  type Replication,
  type Service,
  SessionView,
  seededRandom,
  serviceIdOf,
  silentLogger,
} from "@holdfast/model";
import { ManualClock } from "@holdfast/model/testing";
import { encodeIp, IpHeader, PROTOCOL, write16, write32 } from "@holdfast/sctp";
import { SimulatedFastPath } from "../fast-path/simulated/simulated-fast-path.ts";
import { createForwarder } from "../forwarder.ts";
import type { ProbeChannel } from "../health/probe.ts";
import type { ForwarderLimits } from "../limits.ts";
import { addressAt } from "../packet/input.ts";
import { PlainHeader, TCP_FLAG } from "../packet/plain/header.ts";
import { writePlainChecksum } from "../packet/plain/rewrite.ts";
import { bytesOf } from "../packet/translate.ts";
import type { Forwarder } from "../port.ts";
import { settled } from "./rig.ts";

export const VIP: Address = "203.0.113.1";
export const SERVER: Address = "192.0.2.20";
export const CLIENT: Address = "100.80.1.10";
export const PORT = 80;
export const SERVER_PORT = 8_080;
export const { SYN, ACK, FIN, RST } = TCP_FLAG;

export interface Ends {
  readonly source: Address;
  readonly sourcePort: number;
  readonly destination: Address;
  readonly destinationPort: number;
}

export interface Segment extends Ends {
  readonly flags: number;
  readonly sequence: number;
  readonly acknowledgment: number;
  readonly payload: string;
  readonly protocol: number;
}

export type SegmentFields = Partial<Pick<Segment, "sequence" | "acknowledgment" | "payload">> & {
  readonly windowScale?: number;
  /** In place of a window scale; whole words. */
  readonly options?: readonly number[];
};

export function plainService(protocol: number, changes: Partial<Service> = {}): Service {
  return {
    ...{ id: serviceIdOf(protocol, VIP, PORT), name: "test", protocol, vips: [VIP], port: PORT },
    endpoints: [{ address: SERVER, port: SERVER_PORT, weight: 1, state: "active" }],
    ...{ selection: "leastAssociations", idleTimeoutS: 900, restartNewAddresses: "abort" },
    ...{ clientPrefixes: [], withdrawWhenDown: false },
    ...changes,
  };
}

export function tcpPacket(ends: Ends, flags: number, fields: SegmentFields = {}): Uint8Array {
  const { sequence = 0, acknowledgment = 0, payload = "", windowScale } = fields;
  const { options = windowScale === undefined ? [] : [1, 3, 3, windowScale] } = fields;
  const size = 20 + options.length;
  const segment = new Uint8Array(size + payload.length);
  write16(segment, 0, ends.sourcePort);
  write16(segment, 2, ends.destinationPort);
  write32(segment, 4, sequence >>> 0);
  write32(segment, 8, acknowledgment >>> 0);
  segment[12] = (size / 4) << 4;
  segment[13] = flags;
  write16(segment, 14, 0xffff);
  segment.set(options, 20);
  segment.set(Buffer.from(payload), size);
  return packet(ends, PROTOCOL_TCP, segment);
}

export function udpPacket(ends: Ends, payload: string): Uint8Array {
  const datagram = new Uint8Array(8 + payload.length);
  write16(datagram, 0, ends.sourcePort);
  write16(datagram, 2, ends.destinationPort);
  write16(datagram, 4, datagram.length);
  datagram.set(Buffer.from(payload), 8);
  return packet(ends, PROTOCOL_UDP, datagram);
}

function packet({ source, destination }: Ends, protocol: number, payload: Uint8Array): Uint8Array {
  const bytes = encodeIp({ source: bytesOf(source), destination: bytesOf(destination), payload, protocol });
  const ip = new IpHeader();
  ip.read(bytes);
  writePlainChecksum(bytes, ip);
  return bytes;
}

/** What a host receives; a wrong checksum throws. */
export function segmentOf(bytes: Uint8Array): Segment {
  const ip = new IpHeader();
  if (ip.read(bytes) !== undefined) throw new Error("not an IP packet");
  const header = new PlainHeader();
  const refusal = header.read(bytes, ip);
  if (refusal !== undefined) throw new Error(refusal);
  const right = bytes.slice();
  writePlainChecksum(right, ip);
  if (Buffer.compare(right, bytes) !== 0) throw new Error("wrong checksum");
  return {
    source: addressAt(bytes, ip.sourceOffset, ip.addressSize),
    destination: addressAt(bytes, ip.destinationOffset, ip.addressSize),
    sourcePort: header.sourcePort,
    destinationPort: header.destinationPort,
    flags: ip.protocol === PROTOCOL.TCP ? header.flags : 0,
    sequence: header.sequence,
    acknowledgment: header.acknowledgment,
    payload: Buffer.from(bytes.subarray(header.start + header.headerSize, ip.end)).toString(),
    protocol: ip.protocol,
  };
}

export interface PlainRigOptions {
  readonly services: readonly Service[];
  readonly limits?: Partial<ForwarderLimits>;
  readonly clock?: ManualClock;
  readonly memberNumber?: number;
  readonly memberNumberCount?: number;
  readonly replication?: Replication;
  readonly fastPath?: SimulatedFastPath;
  readonly flowCountMax?: number;
  /** Endpoints are asked, by nobody that answers: verdicts are the test's own. */
  readonly isProbed?: boolean;
  readonly isReady?: () => boolean;
}

const SILENT: ProbeChannel = {
  send: () => true,
  onPacket: () => {},
  onUnreachable: () => {},
  close: () => {},
};

export class PlainRig {
  readonly clock: ManualClock;
  readonly view = new SessionView<PlainRecord>(PLAIN_SESSIONS);
  readonly fastPath: SimulatedFastPath;
  readonly forwarder: Forwarder;

  constructor(options: PlainRigOptions) {
    const { clock = new ManualClock(), memberNumber = 0, limits, services, memberNumberCount } = options;
    this.clock = clock;
    const { flowCountMax } = options;
    const room = flowCountMax === undefined ? {} : { flowCountMax };
    this.fastPath = options.fastPath ?? new SimulatedFastPath({ nowMs: () => clock.nowMs(), ...room });
    this.forwarder = createForwarder({
      ...{ fastPath: this.fastPath, table: new SessionView(), clock, random: seededRandom(memberNumber + 1) },
      ...{ logger: silentLogger, memberNumber, plain: { view: this.view } },
      replication: options.replication ?? {
        released: () => Promise.resolve(true),
        ask: () => Promise.resolve(true),
      },
      ...(limits !== undefined && { limits }),
      ...(options.isProbed === true && {
        probes: { channel: SILENT, settings: { periodMs: 1e9, timeoutMs: 1e8 } },
      }),
      ...(memberNumberCount !== undefined && { memberNumberCount }),
      ...(options.isReady !== undefined && { isReady: options.isReady }),
    });
    this.forwarder.setServices(services);
    this.forwarder.start();
  }

  async pass(bytes: Uint8Array): Promise<Segment[]> {
    this.fastPath.inject(bytes, 1);
    await settled();
    return this.fastPath.takeOutgoing().map((out) => segmentOf(out.packet));
  }

  async one(bytes: Uint8Array): Promise<Segment> {
    const [only, ...more] = await this.pass(bytes);
    if (only === undefined || more.length > 0)
      throw new Error(`${more.length + (only ? 1 : 0)} packets left; ${JSON.stringify(this.drops())}`);
    return only;
  }

  /** What left by itself. */
  taken(): Segment[] {
    return this.fastPath.takeOutgoing().map((out) => segmentOf(out.packet));
  }

  drops(): Record<string, number> {
    const { drops, fastPath } = this.forwarder.counters();
    const all = [...drops, ...[...fastPath].filter(([name]) => name.startsWith("drop."))];
    return Object.fromEntries(all.filter(([, count]) => count > 0));
  }

  /** Packets that came to the slow path so far. */
  get punts(): number {
    return this.forwarder.counters().events.get("punts") ?? 0;
  }

  /** What it asked the other members. */
  get questions(): number {
    return this.forwarder.counters().events.get("questions") ?? 0;
  }

  living(): PlainRecord[] {
    return this.records().filter((record) => !isPlainEnded(record));
  }

  /** Of all that is known. */
  phases(): string[] {
    return this.records().map(plainPhase);
  }

  records(): PlainRecord[] {
    return [...this.forwarder.plain.records()];
  }
}

/** Members that share records at once; questions are answered by all. */
export class PlainCluster {
  readonly clock = new ManualClock();
  readonly rigs: PlainRig[] = [];

  constructor(count: number, options: PlainRigOptions) {
    for (let number = 0; number < count; number++) {
      const replication: Replication = {
        released: () => Promise.resolve(true),
        ask: (question) => {
          for (const rig of this.rigs) rig.forwarder.publish(question);
          return Promise.resolve(true);
        },
      };
      const rig = new PlainRig({ ...options, clock: this.clock, memberNumber: number, replication });
      this.rigs.push(rig);
      rig.view.onLocal((delta) => {
        for (const other of this.rigs) if (other !== rig) other.view.joinRemote(delta);
      });
    }
  }

  rig(number: number): PlainRig {
    return this.rigs[number] as PlainRig;
  }
}

/** A client and what the server sees of it: the two ends of one TCP connection. */
export class Connection {
  readonly ends: Ends;
  /** As the server answers it; known once its SYN has passed. */
  server: Ends | undefined;
  clientNext: number;
  serverNext: number;

  constructor(changes: Partial<Ends> = {}, clientSequence = 1_000, serverSequence = 900_000) {
    this.ends = { source: CLIENT, sourcePort: 40_000, destination: VIP, destinationPort: PORT, ...changes };
    this.clientNext = clientSequence;
    this.serverNext = serverSequence;
  }

  up(flags: number, payload = ""): Uint8Array {
    const { clientNext: sequence, serverNext: acknowledgment } = this;
    const scale = flags & SYN ? { windowScale: 7 } : {};
    this.clientNext += payload.length + (flags & (SYN | FIN) ? 1 : 0);
    return tcpPacket(this.ends, flags, { sequence, acknowledgment, payload, ...scale });
  }

  down(flags: number, payload = ""): Uint8Array {
    if (this.server === undefined) throw new Error("the server has seen nothing yet");
    const { serverNext: sequence, clientNext: acknowledgment } = this;
    const scale = flags & SYN ? { windowScale: 7 } : {};
    this.serverNext += payload.length + (flags & (SYN | FIN) ? 1 : 0);
    return tcpPacket(this.server, flags, { sequence, acknowledgment, payload, ...scale });
  }

  /** Of what the server received. */
  heard({ source, sourcePort, destination, destinationPort }: Ends): void {
    this.server = {
      ...{ source: destination, sourcePort: destinationPort },
      ...{ destination: source, destinationPort: sourcePort },
    };
  }

  async open(rig: PlainRig): Promise<void> {
    this.heard(await rig.one(this.up(SYN)));
    await rig.one(this.down(SYN | ACK));
    await rig.one(this.up(ACK));
  }

  async close(rig: PlainRig): Promise<void> {
    for (const bytes of [this.up(FIN | ACK), this.down(FIN | ACK), this.up(ACK)]) await rig.one(bytes);
  }
}
