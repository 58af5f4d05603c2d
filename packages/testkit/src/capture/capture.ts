// Captures in the lab: tcpdump on a host's interface, and what tests ask of the packets.
import type { ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Host } from "../lab/host.ts";
import type { Lab } from "../lab/lab.ts";
import { icmpPacket } from "../packets/build.ts";
import { OffloadSocket } from "../raw/offload-socket.ts";
import { until } from "../wait.ts";
import { type CapturedPacket, readPacket } from "./packet.ts";
import { parsePcap } from "./pcap.ts";

let captureCount = 0;
/** RFC 7600's dummy address: nobody has it. */
const MARK_DESTINATION = "192.0.0.8";
/**
 * Bytes. With the kernel's header a frame of the ring is two pages. Reading a capture that has longer packets
 * is an error.
 */
const SNAPSHOT_LENGTH = 8_000;
/** 1,024 frames of {@link SNAPSHOT_LENGTH}. */
const RING_KIB = 8_192;

export class Capture {
  readonly file: string;
  readonly host: Host;
  readonly network: string;
  readonly #child: ChildProcess;
  #error = "";
  #exited = false;
  #markers: OffloadSocket | undefined;

  constructor(lab: Lab, host: Host, network: string, filter: string, snapshotLength: number) {
    this.file = join(lab.directory, `${captureCount++}-${host.name}-${network}.pcap`);
    this.host = host;
    this.network = network;
    // -U: each packet is in the file when it was seen. Nanoseconds, since take-overs are measured in it.
    // The kernel makes the whole ring in one go, and without preemption (PREEMPT_NONE) lets nobody else have
    // that processor meanwhile, speakers of BFD with real-time priority included: 64 MiB of memory that
    // a virtual machine had not touched before took 430 ms, and every BFD session of the lab ended.
    this.#child = host.spawn(
      "tcpdump",
      [
        "-i",
        network,
        "-n",
        "-U",
        "-s",
        String(snapshotLength),
        "-B",
        String(RING_KIB),
        "--immediate-mode",
        "--time-stamp-precision=nano",
        "-Z",
        "root",
        "-w",
        this.file,
        filter,
      ],
      { stdio: ["ignore", "ignore", "pipe"] },
    );
    this.#child.stderr?.on("data", (data) => {
      this.#error += data;
    });
    this.#child.once("exit", () => {
      this.#exited = true;
    });
  }

  async ready(): Promise<this> {
    await until(`the capture on ${this.host.name} ${this.network}`, () => {
      if (this.#exited) throw new Error(`tcpdump ended: ${this.#error}`);
      // tcpdump writes the file header once it listens.
      return this.#error.includes("listening on") && statSync(this.file).size >= 24;
    });
    return this;
  }

  /** Every packet so far. IPv4 and IPv6 only. */
  packets(): CapturedPacket[] {
    return parsePcap(readFileSync(this.file))
      .flatMap((frame) => readPacket(frame) ?? [])
      .filter(({ destination }) => destination !== MARK_DESTINATION);
  }

  /** Whole frames, for byte searches. */
  frames(): Uint8Array[] {
    return parsePcap(readFileSync(this.file)).map((frame) => frame.bytes);
  }

  /** Waits until everything that has passed the interface so far is in the file. */
  async flush(): Promise<void> {
    this.#markers ??= new OffloadSocket(this.host, this.network);
    const mark = Buffer.from(`capture mark ${randomUUID()}`);
    this.#markers.send(markFrame(mark));
    await until(`the capture on ${this.host.name} ${this.network} to catch up`, () =>
      readFileSync(this.file).includes(mark),
    );
  }

  async stop(): Promise<void> {
    if (this.#exited) return;
    await new Promise<void>((resolve) => {
      this.#child.once("exit", () => resolve());
      this.#child.kill("SIGINT");
    });
    if (/(\d+) packets dropped by kernel/.exec(this.#error)?.[1] !== "0") {
      throw new Error(`the capture on ${this.host.name} is not complete: ${this.#error}`);
    }
  }
}

/** An ICMP echo reply from nobody to nobody: any filter that lets ICMP pass shows it, no host takes it. */
function markFrame(mark: Uint8Array): Uint8Array {
  const packet = icmpPacket({ source: "0.0.0.0", destination: MARK_DESTINATION }, 0, 0, mark);
  return new Uint8Array([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, ...packet]);
}

/** @param snapshotLength - bytes of the longest frame that is to be whole: more than an interface's MTU. */
export function startCapture(
  lab: Lab,
  host: Host,
  network: string,
  filter = "",
  snapshotLength = SNAPSHOT_LENGTH,
): Promise<Capture> {
  return new Capture(lab, host, network, filter, snapshotLength).ready();
}
