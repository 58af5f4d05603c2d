// What every transport must do. Each implementation's test passes a harness and gets the same cases.
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import type { PeerMessage } from "../ports/messages.ts";
import type { PeerIdentity, Transport } from "../ports/transport.ts";

/** Of the harness's transports: small, so that a test can overflow it. */
export const COMPLIANCE_QUEUE_BYTES_MAX = 5 * 1024 * 1024;

export interface TransportHarness {
  /**
   * A new transport of member `m<number>`, not started; numbers are 0 … 3, all configured with each other.
   */
  member(number: number): Promise<Transport>;
  /** Bytes that are no message, on the link from one member to another. */
  sendGarbage(from: number, to: number): void;
  /** Breaks the connection of two members, as a network does. */
  breakLink(a: number, b: number): void;
  close(): Promise<void>;
}

export interface Recorder {
  readonly transport: Transport;
  readonly connected: PeerIdentity[];
  readonly disconnected: { readonly number: number; readonly reason: string }[];
  readonly messages: { readonly from: number; readonly message: PeerMessage }[];
  readonly dropped: number[];
  readonly revokedBy: string[];
}

/** Starts a transport that notes all it is told. */
export function record(transport: Transport, onConnected?: (peer: PeerIdentity) => void): Recorder {
  const recorder: Recorder = {
    transport,
    connected: [],
    disconnected: [],
    messages: [],
    dropped: [],
    revokedBy: [],
  };
  transport.start({
    connected(peer) {
      recorder.connected.push(peer);
      onConnected?.(peer);
    },
    disconnected: (peer, reason) => recorder.disconnected.push({ number: peer.number, reason }),
    message: (peer, message) => recorder.messages.push({ from: peer.number, message }),
    dropped: (peer) => recorder.dropped.push(peer.number),
    turnedAway: (by, why) => {
      if (why === "revoked") recorder.revokedBy.push(by);
    },
  });
  return recorder;
}

/** Resolves when the condition holds; fails with `what` after `limitMs`. */
export async function until(what: string, condition: () => boolean, limitMs = 10_000): Promise<void> {
  const endMs = performance.now() + limitMs;
  while (!condition()) {
    assert.ok(performance.now() < endMs, `not within ${limitMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

export function response(id: number, length = 8): PeerMessage {
  return { kind: "response", id, body: new Uint8Array(length).fill(id & 0xff) };
}

export function runTransportCompliance(name: string, open: () => Promise<TransportHarness>): void {
  describe(`${name} as a transport`, () => {
    let harness: TransportHarness;
    beforeEach(async () => {
      harness = await open();
    });
    afterEach(() => harness.close());

    const start = async (...numbers: number[]): Promise<Recorder[]> => {
      const transports = await Promise.all(numbers.map((number) => harness.member(number)));
      const recorders = transports.map((transport) => record(transport));
      await meshed(recorders);
      return recorders;
    };
    const meshed = (recorders: readonly Recorder[]) =>
      until("every pair is connected", () =>
        recorders.every((recorder) => recorder.transport.peers().length === recorders.length - 1),
      );

    it("connects every pair once and names the peers", async () => {
      const recorders = await start(0, 1, 2);
      const named = recorders[1]?.transport.peers().map(({ name, number }) => ({ name, number }));
      assert.deepEqual(named, [
        { name: "m0", number: 0 },
        { name: "m2", number: 2 },
      ]);
      for (const recorder of recorders) {
        // Two that dialled each other at once may settle on one link after a second `connected`.
        assert.equal(recorder.connected.length - recorder.disconnected.length, 2);
      }
    });

    it("delivers in order, both ways, what was sent from `connected` on", async () => {
      const [first, second] = await Promise.all([harness.member(0), harness.member(1)]);
      const a: Recorder = record(first, (peer) => {
        for (let id = 0; id < 50; id++) assert.ok(first.send(peer.number, response(id)));
      });
      const b = record(second, (peer) => {
        for (let id = 0; id < 50; id++) assert.ok(second.send(peer.number, response(id)));
      });
      const last50 = (recorder: Recorder) =>
        recorder.messages.slice(-50).map(({ message }) => (message.kind === "response" ? message.id : -1));
      await until("all arrive", () =>
        [a, b].every((recorder) => last50(recorder).length === 50 && last50(recorder).at(-1) === 49),
      );
      const inOrder = Array.from({ length: 50 }, (_, id) => id);
      assert.deepEqual(last50(a), inOrder);
      assert.deepEqual(last50(b), inOrder);
    });

    it("carries messages from the smallest to the largest unchanged", async () => {
      const [a, b] = (await start(0, 1)) as [Recorder, Recorder];
      const sizes = [0, 1, 125, 126, 65_535, 65_536, 1_000_000];
      for (const [id, size] of sizes.entries()) assert.ok(a.transport.send(1, response(id, size)));
      await until("all arrive", () => b.messages.length === sizes.length);
      assert.deepEqual(
        b.messages.map(({ message }) => message),
        sizes.map((size, id) => response(id, size)),
      );
      assert.ok(b.messages.every(({ from }) => from === 0));
    });

    it("gives each receiver a buffer of its own", async () => {
      const [a, b, c] = (await start(0, 1, 2)) as [Recorder, Recorder, Recorder];
      const message = response(7, 64);
      a.transport.send(1, message);
      a.transport.send(2, message);
      await until("first arrives", () => b.messages.length === 1);
      const received = b.messages[0]?.message;
      assert.ok(received?.kind === "response");
      received.body.fill(0);
      await until("second arrives", () => c.messages.length === 1);
      assert.deepEqual(c.messages[0]?.message, response(7, 64));
    });

    it("answers false for members that are not there", async () => {
      const [a] = (await start(0, 1)) as [Recorder];
      assert.equal(a.transport.send(2, response(1)), false);
      assert.equal(a.transport.send(63, response(1)), false);
      assert.equal(a.transport.queuedBytes(2), 0);
    });

    it("tells at once that a member stopped, and connects its successor", async () => {
      const [a, b] = (await start(0, 1)) as [Recorder, Recorder];
      await b.transport.stop();
      await until("noticed", () => a.transport.peers().length === 0);
      assert.equal(a.transport.send(1, response(1)), false);
      const again = record(await harness.member(1));
      await until("connected again", () => a.transport.peers().length === 1);
      await until("both ways", () => again.transport.peers().length === 1);
      a.transport.send(1, response(2));
      await until("delivers", () => again.messages.length === 1);
      assert.equal(b.messages.length, 0);
    });

    it("connects again after the network broke a link", async () => {
      const [a, b] = (await start(0, 1)) as [Recorder, Recorder];
      const before = a.connected.length;
      harness.breakLink(0, 1);
      await until(
        "noticed and connected again",
        () => a.connected.length > before && b.transport.peers().length === 1,
      );
      await until("delivers", () => {
        if (b.messages.length === 0) a.transport.send(1, response(3));
        return b.messages.length > 0;
      });
    });

    it("drops a full queue, says so once, and keeps the link", async () => {
      const [a, b] = (await start(0, 1)) as [Recorder, Recorder];
      let accepted = 0;
      while (a.transport.send(1, response(accepted, 100_000))) {
        accepted++;
        assert.ok(accepted < 1_000, "the queue has a limit");
      }
      await until("told", () => a.dropped.length > 0);
      assert.deepEqual(a.dropped, [1]);
      assert.equal(a.disconnected.length, 0);
      await until("room again", () => a.transport.queuedBytes(1) === 0);
      a.transport.send(1, response(9_999));
      await until("what comes after arrives", () =>
        b.messages.some(({ message }) => message.kind === "response" && message.id === 9_999),
      );
      assert.ok(b.messages.length <= accepted + 1);
    });

    it("refuses a member that speaks garbage, and nobody else notices", async () => {
      const [a, b, c] = (await start(0, 1, 2)) as [Recorder, Recorder, Recorder];
      const disconnectedBefore = c.disconnected.length;
      harness.sendGarbage(0, 1);
      await until("refused", () => b.disconnected.some(({ number }) => number === 0));
      await until("told", () =>
        a.disconnected.some(({ number, reason }) => number === 1 && /refused/.test(reason)),
      );
      assert.equal(b.messages.length, 0);
      assert.equal(c.disconnected.length, disconnectedBefore);
      c.transport.send(1, response(1));
      await until("the others talk on", () => b.messages.some(({ from }) => from === 2));
    });

    it("closes the link of a member that the engine refuses, and lets it back later", async () => {
      const [a, b] = (await start(0, 1)) as [Recorder, Recorder];
      const before = b.connected.length;
      a.transport.refuse(1, "change-unverified");
      await until("told", () => b.disconnected.some(({ reason }) => /change-unverified/.test(reason)));
      await until("gone here", () => a.disconnected.length > 0);
      await until("back", () => b.connected.length > before && a.transport.peers().length === 1);
    });

    it("is silent after stop", async () => {
      const [a, b] = (await start(0, 1)) as [Recorder, Recorder];
      await a.transport.stop();
      await until("noticed", () => b.transport.peers().length === 0);
      assert.equal(a.transport.send(1, response(1)), false);
      assert.equal(a.messages.length, 0);
      assert.deepEqual(a.transport.peers(), []);
    });
  });
}
