// What an implementation brings to the compliance suite, and how the suite waits.
import assert from "node:assert/strict";
import type { FastPath, Punt } from "../port.ts";
import type { Side } from "./world.ts";

/** One fast path between two networks, fresh for every test. */
export interface Rig {
  readonly fastPath: FastPath;
  /** Indices of the fast path's interfaces, as its punts name them. */
  readonly interfaces: Readonly<Record<Side, number>>;
  /** Puts an IP packet on the wire of that side, addressed to the fast path's host. */
  inject(side: Side, packet: Uint8Array): void;
  /** IP packets that came out on that side since the rig was opened; link-layer padding is cut off. */
  received(side: Side): readonly Uint8Array[];
  /** Only where there are frames: the Ethernet below. */
  readonly link?: Link;
  close(): Promise<void>;
}

export interface Link {
  /** MAC of the fast path's interface on that side, and of the test's. */
  mac(side: Side, end: "fastPath" | "test"): Uint8Array;
  injectFrame(side: Side, frame: Uint8Array): void;
  /** Every frame that came out on that side since the rig was opened. */
  receivedFrames(side: Side): readonly Uint8Array[];
  /** Like `inject`, of a packet whose checksum a local stack left to the device (CHECKSUM_PARTIAL). */
  injectPartial(side: Side, packet: Uint8Array): void;
}

export interface RigOptions {
  readonly flowCountMax?: number;
}

export interface Harness {
  open(options: RigOptions): Promise<Rig>;
}

/**
 * How long a condition may take before a test fails. Far more than any implementation needs; emulated
 * machines are given more patience.
 */
const LIMIT_MS = 5_000 * Number(process.env["HOLDFAST_TEST_PATIENCE"] ?? 1);

/** Waits until `condition` is true, looking again every turn of the event loop. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  const end = performance.now() + LIMIT_MS;
  while (!condition()) {
    if (performance.now() > end) assert.fail(`waited ${LIMIT_MS} ms in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** A punt whose packet outlives the call. */
export type KeptPunt = Punt;

/** Records punts with copies of their packets. */
export function recordPunts(fastPath: FastPath): KeptPunt[] {
  const punts: KeptPunt[] = [];
  fastPath.onPunt((punt) => punts.push({ ...punt, packet: punt.packet.slice() }));
  return punts;
}

export function total(fastPath: FastPath, name: string): number {
  return fastPath.totals().get(name) ?? 0;
}

/** Hexadecimal, so that a failing comparison can be read. */
export function hex(bytes: Uint8Array | undefined): string | undefined {
  return bytes && Buffer.from(bytes).toString("hex");
}
