// Sends packets as fast as one core makes them: a live-frame test run of an XDP program, and sinks that
// count.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import {
  ElfObject,
  ERRNO,
  errnoName,
  fillTables,
  libbpf,
  options,
  type Pointer,
  putAddress,
  RODATA,
  viewOf,
  withLibbpfLog,
} from "@holdfast/forwarder/testing/programs";

const OBJECT = fileURLToPath(new URL("../../../packages/forwarder/build/generator.bpf.o", import.meta.url));
/** Ethernet, IPv6 and SCTP headers; of IPv4 less. */
const HEAD_SIZE = 66;
const HEAD_OFFSET = 20;
const CHECKSUM_OFFSET = HEAD_OFFSET + HEAD_SIZE;
const SETTINGS_SIZE = 96;
const SOURCE_MASK_OFFSET = 88;
const CHECKSUM_PLACE_OFFSET = 92;
/** Of the last four bytes of an IPv6 source. */
const SOURCE6_PLACE = 34;
const SOURCE_PORT_PLACE = 34;
const LIVE_FRAMES = 2;
const BATCH_SIZE = 64;
const BPF_XDP = 37;
const BPF_TCX_INGRESS = 46;
/** struct hf_progress, of each possible CPU. */
const PROGRESS_SIZE = 40;
const CPU_COUNT_MAX = 256;
const CLOCK_PERIOD = 256;

export interface Traffic {
  readonly interfaceIndex: number;
  readonly flowCount: number;
  /** The first client's address as a number, of IPv6 its last four bytes; flow n has it plus n. */
  readonly source: number;
  readonly sourcePort: number;
  /** A whole frame of the first flow, checksums right. */
  readonly frame: Buffer;
  /**
   * The frame is an INIT with initiate tag 0, and each packet that of another client: with one of so many
   * addresses, a power of two, from `source` on, then with the next port, and always with a tag of its own.
   */
  readonly initSourceCount?: number;
  /** TCP and UDP: the flows come from so many addresses, a power of two, and from as many ports as ever. */
  readonly sourceCount?: number;
  /** TCP and UDP: where the checksum stands in the frame. */
  readonly checksumOffset?: number;
}

export class Generator {
  readonly #object: Pointer;
  readonly #settingsFd: number;
  readonly #progressFd: number;
  readonly #options = options(80);
  #frame = Buffer.alloc(0);
  #program = "generate";

  constructor() {
    const bpf = libbpf();
    const object = bpf.objectOpen(OBJECT, null);
    this.#object = object;
    if (object === null) throw new Error("packages/forwarder/build.sh has not been run");
    checkRodata();
    const size = Buffer.alloc(8);
    const rodata = bpf.mapInitialValue(bpf.findMap(object, ".rodata"), size);
    fillTables(viewOf(rodata, size.readUInt32LE(0)));
    const { result, lines } = withLibbpfLog(() => bpf.objectLoad(object));
    if (result !== 0) throw new Error(`the generator does not load: ${lines.slice(-5).join("; ")}`);
    this.#settingsFd = bpf.mapFd(bpf.findMap(object, "hf_generator"));
    this.#progressFd = bpf.mapFd(bpf.findMap(object, "hf_progress"));
  }

  /** Attaches a sink to an interface of the current network namespace; it lasts as long as the interface. */
  attachSink(interfaceIndex: number, kind: "xdp" | "tc"): void {
    const program = libbpf().programFd(libbpf().findProgram(this.#object, `sink_${kind}`));
    const type = kind === "xdp" ? BPF_XDP : BPF_TCX_INGRESS;
    const link = libbpf().linkCreate(program, interfaceIndex, type, options(64));
    if (link < 0) throw new Error(`attaching the sink failed with ${errnoName(link)}`);
  }

  prepare(traffic: Traffic): void {
    const { frame } = traffic;
    this.#frame = Buffer.from(frame);
    this.#program = programFor(traffic);
    const settings = Buffer.alloc(SETTINGS_SIZE);
    settings.writeUInt32LE(sourceMaskOf(traffic), SOURCE_MASK_OFFSET);
    settings.writeUInt32LE(traffic.interfaceIndex, 0);
    settings.writeUInt32LE(traffic.flowCount, 4);
    settings.writeUInt32LE(traffic.source, 8);
    settings.writeUInt32LE(traffic.sourcePort, 12);
    settings.writeUInt32LE(frame.length - (isIpv6(traffic) ? 54 : 34), 16);
    bareHead(traffic).copy(settings, HEAD_OFFSET);
    if (traffic.checksumOffset !== undefined) {
      settings.writeUInt16BE(bareChecksum(frame, traffic.checksumOffset), CHECKSUM_OFFSET);
      settings.writeUInt32LE(traffic.checksumOffset, CHECKSUM_PLACE_OFFSET);
    }
    libbpf().update(this.#settingsFd, Buffer.alloc(4), settings, 0);
    // Flows are taken from the first on.
    this.#progress("reset");
  }

  /**
   * Sends `count` packets from the current network namespace; returns when they have left. A signal may cut
   * it short.
   */
  send(count: number): void {
    const settings = this.#options;
    putAddress(settings, 8, this.#frame);
    settings.writeUInt32LE(this.#frame.length, 24);
    // The kernel writes it, and would read it as a limit.
    settings.writeUInt32LE(0, 28);
    settings.writeInt32LE(count, 60);
    settings.writeUInt32LE(LIVE_FRAMES, 68);
    settings.writeUInt32LE(BATCH_SIZE, 76);
    const program = libbpf().programFd(libbpf().findProgram(this.#object, this.#program));
    const result = libbpf().testRun(program, settings);
    // A signal ends the run early; what counts is what arrives.
    if (result !== 0 && -result !== ERRNO["EINTR"])
      throw new Error(`sending failed with ${errnoName(result)}`);
  }

  /** Packets sent since `prepare`. */
  sent(): number {
    return this.#progress("read").sent;
  }

  /** Packets that sinks have seen since `prepare`. */
  received(): number {
    return this.#progress("read").received;
  }

  /**
   * Packets a second that sinks have seen since `prepare`, by the time from the first packet sent to the
   * last: what a test run takes to be set up and torn down, some 20 ms, does not count.
   */
  rate(): number {
    const { sent, elapsedNs, received } = this.#progress("read");
    const timed = Math.floor((sent - 1) / CLOCK_PERIOD) * CLOCK_PERIOD;
    return elapsedNs === 0 ? 0 : (received * (timed / sent) * 1e9) / elapsedNs;
  }

  #progress(what: "read" | "reset"): { sent: number; elapsedNs: number; received: number } {
    const key = Buffer.alloc(4);
    const value = Buffer.alloc(PROGRESS_SIZE * CPU_COUNT_MAX);
    if (what === "reset") libbpf().update(this.#progressFd, key, value, 0);
    else libbpf().lookup(this.#progressFd, key, value);
    let [sent, elapsedNs, received] = [0, 0, 0];
    for (let at = 0; at < value.length; at += PROGRESS_SIZE) {
      const field = (index: number) => Number(value.readBigUInt64LE(at + 8 * index));
      sent += field(1);
      elapsedNs = Math.max(elapsedNs, field(3) - field(2));
      received += field(4);
    }
    return { sent, elapsedNs, received };
  }
}

function isIpv6({ frame }: Traffic): boolean {
  return frame.readUInt16BE(12) === 0x86dd;
}

/** The headers without the source, which each flow adds, to the header's checksum as well. */
function bareHead(traffic: Traffic): Buffer {
  const head = Buffer.from(traffic.frame.subarray(0, HEAD_SIZE));
  if (isIpv6(traffic)) {
    head.writeUInt32BE(0, SOURCE6_PLACE);
    return head;
  }
  head.writeUInt32BE(0, 26);
  head.writeUInt16BE(0, 24);
  let sum = 0;
  for (let at = 14; at < 34; at += 2) sum += head.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  head.writeUInt16BE(~sum & 0xffff, 24);
  return head;
}

function sourceMaskOf({ initSourceCount, sourceCount }: Traffic): number {
  const count = initSourceCount ?? sourceCount;
  return count === undefined ? 0xffff_ffff : count - 1;
}

function programFor(traffic: Traffic): string {
  const { initSourceCount, checksumOffset } = traffic;
  if (isIpv6(traffic)) return "generate6";
  if (checksumOffset !== undefined) return "generate_plain";
  return initSourceCount === undefined ? "generate" : "generate_inits";
}

/** What the checksum would be if the frame's source address and port were zero. */
function bareChecksum(frame: Buffer, at: number): number {
  const without = [frame.readUInt16BE(26), frame.readUInt16BE(28), frame.readUInt16BE(SOURCE_PORT_PLACE)];
  let sum = ~frame.readUInt16BE(at) & 0xffff;
  for (const word of without) sum += ~word & 0xffff;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** The tables stand where the fast path has them, or the checksums would be wrong. */
function checkRodata(): void {
  const symbols = new ElfObject(readFileSync(OBJECT)).symbols();
  const at = (name: string) => symbols.find((symbol) => symbol.name === name)?.value;
  if (
    at("hf_powers") !== RODATA.powers ||
    at("hf_high_powers") !== RODATA.highPowers ||
    at("hf_reduction") !== RODATA.reduction
  ) {
    throw new Error("the generator's tables are elsewhere");
  }
}
