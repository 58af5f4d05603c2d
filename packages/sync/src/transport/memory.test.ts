import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { seededRandom, systemClock } from "@holdfast/model";
import type { Transport } from "../ports/transport.ts";
import { COMPLIANCE_QUEUE_BYTES_MAX, record, response, runTransportCompliance, until } from "./compliance.ts";
import { MemoryNetwork } from "./memory.ts";

const network = (options: Partial<ConstructorParameters<typeof MemoryNetwork>[0]> = {}) =>
  new MemoryNetwork({
    clock: systemClock,
    random: seededRandom(1),
    detectMs: 20,
    reconnectMs: 5,
    refusalPauseMs: 50,
    queueBytesMax: COMPLIANCE_QUEUE_BYTES_MAX,
    ...options,
  });

runTransportCompliance("memory", async () => {
  const memory = network();
  const transports: Transport[] = [];
  return {
    async member(number) {
      const transport = memory.transport({ name: `m${number}`, number });
      transports.push(transport);
      return transport;
    },
    sendGarbage: (from, to) => assert.ok(memory.inject(from, to, new Uint8Array([0, 1, 2, 3]))),
    breakLink: (a, b) => memory.break(a, b),
    async close() {
      for (const transport of transports) await transport.stop();
    },
  };
});

describe("the simulated network", () => {
  it("parts the cluster and heals it", async () => {
    const memory = network();
    const recorders = [0, 1, 2].map((number) => record(memory.transport({ name: `m${number}`, number })));
    await until("meshed", () => recorders.every(({ transport }) => transport.peers().length === 2));
    memory.partition([0], [1, 2]);
    // Sent into the cut: lost, not delivered later.
    recorders[0]?.transport.send(1, response(1));
    await until("noticed", () => recorders[0]?.transport.peers().length === 0);
    assert.deepEqual(
      recorders[1]?.transport.peers().map((peer) => peer.number),
      [2],
    );
    memory.healAll();
    await until("meshed again", () => recorders.every(({ transport }) => transport.peers().length === 2));
    assert.equal(recorders[1]?.messages.length, 0);
    for (const { transport } of recorders) await transport.stop();
  });

  it("holds back a stalled direction until it flows again, in order", async () => {
    const memory = network();
    const a = record(memory.transport({ name: "m0", number: 0 }));
    const b = record(memory.transport({ name: "m1", number: 1 }));
    await until("connected", () => a.transport.peers().length === 1 && b.transport.peers().length === 1);
    memory.stall(0, 1, true);
    for (let id = 0; id < 5; id++) a.transport.send(1, response(id));
    b.transport.send(0, response(100));
    await until("the other direction flows", () => a.messages.length === 1);
    assert.equal(b.messages.length, 0);
    assert.ok(a.transport.queuedBytes(1) > 0);
    memory.stall(0, 1, false);
    await until("flows again", () => b.messages.length === 5);
    assert.deepEqual(
      b.messages.map(({ message }) => (message.kind === "response" ? message.id : -1)),
      [0, 1, 2, 3, 4],
    );
    await a.transport.stop();
    await b.transport.stop();
  });

  it("closes a link that stands still for too long, and brings it back when it flows", async () => {
    const memory = network({ silenceMs: 40 });
    const a = record(memory.transport({ name: "m0", number: 0 }));
    const b = record(memory.transport({ name: "m1", number: 1 }));
    await until("connected", () => a.connected.length === 1 && b.connected.length === 1);
    memory.stall(0, 1, true);
    await until("noticed", () => a.disconnected.length === 1 && b.disconnected.length === 1);
    assert.deepEqual(b.disconnected, [{ number: 0, reason: "silence" }]);
    assert.deepEqual(
      [a.connected.length, b.connected.length],
      [1, 1],
      "who cannot be greeted is not connected",
    );
    memory.stall(0, 1, false);
    await until("connected again", () => a.connected.length === 2 && b.connected.length === 2);
    await a.transport.stop();
    await b.transport.stop();
  });
});
