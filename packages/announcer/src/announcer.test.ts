import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { Address } from "@holdfast/model";
import { addressBytes } from "@holdfast/model";
import { ManualClock } from "@holdfast/model/testing";
import { announcerCompliance } from "./compliance.ts";
import { createAnnouncer } from "./create.ts";
import type { AnnouncerInterface, InterfacePort } from "./interfaces.ts";
import type { FrameSender } from "./l2/packet-socket.ts";
import { BURST_DELAYS_MS, POSTPONEMENT_MS, REPEAT_PERIOD_MS } from "./l2/schedule.ts";

const MAC_A = Uint8Array.of(2, 0, 0, 0, 0, 0xa);
const MAC_B = Uint8Array.of(2, 0, 0, 0, 0, 0xb);

class RecordingSender implements FrameSender {
  readonly frames: { interfaceIndex: number; frame: Uint8Array; atMs: number }[] = [];
  refusing = false;
  closed = false;
  private readonly clock: ManualClock;

  constructor(clock: ManualClock) {
    this.clock = clock;
  }

  send(interfaceIndex: number, frame: Uint8Array): boolean {
    assert(!this.closed, "nothing is sent through a closed socket");
    if (this.refusing) return false;
    this.frames.push({ interfaceIndex, frame, atMs: this.clock.nowMs() });
    return true;
  }

  close(): void {
    this.closed = true;
  }

  /** A neighbour's cache points here: the last repeat is no older than its period, or the VIP is withdrawn. */
  leads(vip: Address): 0 | undefined {
    const last = this.about(vip).at(-1);
    return last !== undefined && this.clock.nowMs() - last.atMs <= REPEAT_PERIOD_MS ? 0 : undefined;
  }

  about(vip: Address): { readonly atMs: number }[] {
    const wanted = Buffer.from(addressBytes(vip));
    // ARP: sender address at 28; NA: target at 62.
    const at = wanted.length === 4 ? 28 : 62;
    return this.frames.filter(({ frame }) => wanted.equals(frame.subarray(at, at + wanted.length)));
  }
}

class ManualInterfaces implements InterfacePort {
  private interfaces: readonly AnnouncerInterface[];
  private readonly listeners = new Set<() => void>();

  constructor(...interfaces: AnnouncerInterface[]) {
    this.interfaces = interfaces;
  }

  list(): readonly AnnouncerInterface[] {
    return this.interfaces;
  }

  onChange(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  set(...interfaces: AnnouncerInterface[]): void {
    this.interfaces = interfaces;
    for (const listener of this.listeners) listener();
  }

  listenerCount(): number {
    return this.listeners.size;
  }
}

const PATH_A = { name: "path-a", index: 4, mac: MAC_A, carrier: true };
const CORE = { name: "core", index: 5, mac: MAC_B, carrier: true };

function l2(...ports: AnnouncerInterface[]) {
  const clock = new ManualClock();
  const sender = new RecordingSender(clock);
  const interfaces = new ManualInterfaces(...ports);
  return { clock, sender, interfaces, announcer: createAnnouncer({ kind: "l2", interfaces, clock, sender }) };
}

announcerCompliance("l2", () => {
  const { clock, sender, interfaces, announcer } = l2(PATH_A, CORE);
  return {
    announcer,
    kind: "l2",
    elapse: (ms) => clock.advance(ms),
    leads: (vip) => sender.leads(vip),
    ranked: false,
    mute: false,
    isHolding: () => !sender.closed || clock.timerCount > 0 || interfaces.listenerCount() > 0,
  };
});

announcerCompliance("none", () => {
  const clock = new ManualClock();
  return {
    announcer: createAnnouncer({ kind: "none", clock }),
    kind: "none",
    elapse: (ms) => clock.advance(ms),
    leads: () => undefined,
    ranked: false,
    mute: true,
    isHolding: () => clock.timerCount > 0,
  };
});

suite("l2 announcer", () => {
  test("a burst goes out at its times on every segment, then a repeat each period", () => {
    const { clock, sender, announcer } = l2(PATH_A, CORE);
    const startMs = clock.nowMs();
    void announcer.announce([{ vip: "203.0.113.1", rank: 0 }]);
    clock.advance((BURST_DELAYS_MS.at(-1) as number) + REPEAT_PERIOD_MS);
    const expected = [...BURST_DELAYS_MS, (BURST_DELAYS_MS.at(-1) as number) + REPEAT_PERIOD_MS];
    // Both ARP forms on both segments each time.
    assert.deepEqual(
      sender.frames.map(({ atMs, interfaceIndex }) => [atMs - startMs, interfaceIndex]),
      expected.flatMap((atMs) => [
        [atMs, 4],
        [atMs, 4],
        [atMs, 5],
        [atMs, 5],
      ]),
    );
    assert.deepEqual(announcer.announced()[0]?.places, ["path-a", "core"]);
    assert.equal(announcer.announced()[0]?.messageCount, expected.length * 4);
  });

  test("a segment without carrier is left out; when it comes, everything is announced anew", () => {
    const { clock, sender, interfaces, announcer } = l2({ ...PATH_A, carrier: false });
    void announcer.announce([{ vip: "2001:db8:113::1", rank: 0 }]);
    assert.equal(sender.frames.length, 0);
    assert.equal(announcer.announced()[0]?.trouble, "no interface has carrier");
    clock.advance(60_000);
    interfaces.set(PATH_A);
    assert.equal(sender.frames.length, 1);
    assert.equal(announcer.announced()[0]?.trouble, undefined);
    clock.advance(BURST_DELAYS_MS.at(-1) as number);
    assert.equal(sender.frames.length, BURST_DELAYS_MS.length);
    interfaces.set(PATH_A);
    assert.equal(sender.frames.length, BURST_DELAYS_MS.length, "no change, no burst");
    interfaces.set({ ...PATH_A, mac: MAC_B });
    assert.equal(sender.frames.length, BURST_DELAYS_MS.length + 1, "another MAC");
  });

  test("a process that was stopped does not claim its VIPs on its return before it knows whose they are", () => {
    const { clock, sender, announcer } = l2(PATH_A);
    void announcer.announce([{ vip: "203.0.113.1", rank: 0 }]);
    const before = sender.frames.length;
    clock.jump(60_000);
    clock.advance(POSTPONEMENT_MS - 1);
    assert.equal(sender.frames.length, before);
    assert.equal(announcer.counters().postponed, 1);
    clock.advance(1);
    assert(sender.frames.length > before, "still the owner: the repeats go on");
    clock.jump(60_000);
    clock.advance(10);
    void announcer.announce([]);
    const after = sender.frames.length;
    clock.advance(60_000);
    assert.equal(sender.frames.length, after);
  });

  test("a frame that the kernel refuses is counted and repeated", () => {
    const { clock, sender, announcer } = l2(PATH_A);
    sender.refusing = true;
    void announcer.announce([{ vip: "203.0.113.1", rank: 0 }]);
    assert.deepEqual(announcer.counters(), { sent: 0, sendFailures: 2, postponed: 0, speakerRestarts: 0 });
    sender.refusing = false;
    clock.advance(BURST_DELAYS_MS[1] as number);
    assert.equal(sender.frames.length, 2);
  });
});
