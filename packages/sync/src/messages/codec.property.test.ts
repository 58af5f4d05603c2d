import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { Summary } from "../ports/journals.ts";
import {
  CHANGE_BYTES_MAX,
  PEER_MESSAGE_BYTES_MAX,
  SEGMENT_MESSAGE_CHANGE_COUNT_MAX,
} from "../ports/limits.ts";
import type { PeerMessage } from "../ports/messages.ts";
import { MessageReader, MessageWriter } from "./bytes.ts";
import { decodePeerMessage, encodePeerMessage } from "./codec.ts";
import { FIELD_COUNT_MAX, writeFields } from "./fields.ts";
import { decodeLinkMessage, encodeLinkMessage, type LinkMessage } from "./greeting.ts";

const hex = (bytes: number) =>
  fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((b) => Buffer.from(b).toString("hex"));
const actor = hex(16);
const counter = fc.oneof(fc.nat(300), fc.nat(0x7fff_ffff));
const bytes = fc.uint8Array({ maxLength: 80 });
const address = fc.constantFrom("192.0.2.1", "2001:db8::1", "10.1.2.3", "::1");
const port = fc.integer({ min: 0, max: 65_535 });
const segmentSummary = fc
  .record({
    segment: counter,
    ticks: counter,
    hash: fc.uint8Array({ minLength: 32, maxLength: 32 }),
    sealed: fc.boolean(),
  })
  .map(({ segment, ticks, hash, sealed }) => ({
    segment,
    ticks,
    head: ticks === 0 ? new Uint8Array(0) : hash,
    sealed,
  }));
const summary: fc.Arbitrary<Summary> = fc.record({
  incarnation: actor,
  journals: fc.array(
    fc.record({ actor, base: counter, segments: fc.array(segmentSummary, { maxLength: 5 }) }),
    { maxLength: 5 },
  ),
  connected: fc.array(fc.nat(63), { maxLength: 8 }),
  floors: fc.array(fc.tuple(fc.nat(63), fc.nat(2 ** 31 - 1)), { maxLength: 8 }),
  caughtUp: fc.boolean(),
});
const question = fc.oneof(
  fc.record({
    kind: fc.constant("client" as const),
    serviceId: fc.constantFrom("sctp/192.0.2.1:38412", "sctp/[2001:db8::1]:9"),
    client: address,
    clientPort: port,
  }),
  fc.record(
    {
      kind: fc.constant("natPort" as const),
      endpoint: address,
      endpointPort: port,
      natPort: port,
      protocol: fc.integer({ min: 1, max: 255 }),
    },
    { requiredKeys: ["kind", "endpoint", "endpointPort", "natPort"] },
  ),
);
const id = fc.maxSafeNat();
const position = fc.record({ segment: counter, ticks: counter });
const message: fc.Arbitrary<PeerMessage> = fc.oneof(
  fc.record({ kind: fc.constantFrom("hello" as const, "summary" as const), summary }),
  fc.record({ kind: fc.constant("tick" as const), actor, segment: counter, tick: counter, change: bytes }),
  fc.record({ kind: fc.constant("fetch" as const), actor, segment: counter, fromTick: counter }),
  fc.record({
    kind: fc.constant("segment" as const),
    actor,
    segment: counter,
    fromTick: counter,
    changes: fc.array(bytes, { maxLength: 6 }),
    sealed: fc.boolean(),
  }),
  fc.record({ kind: fc.constant("acknowledge" as const), actor, held: position, joined: position }),
  fc.record({ kind: fc.constant("base" as const), actor, base: counter }),
  fc.record({ kind: fc.constant("ask" as const), question: id, about: question }),
  fc.record({
    kind: fc.constant("answer" as const),
    question: id,
    records: fc.array(bytes, { maxLength: 6 }),
  }),
  fc.record({
    kind: fc.constant("configuration" as const),
    heads: fc.array(hex(32), { maxLength: 4 }),
    changes: fc.array(bytes, { maxLength: 4 }),
  }),
  fc.record({ kind: fc.constant("request" as const), id, topic: fc.string({ maxLength: 20 }), body: bytes }),
  fc.record({ kind: fc.constant("response" as const), id, body: bytes }),
);

describe("peer messages", () => {
  it("come back as they were, and in one encoding only", () => {
    fc.assert(
      fc.property(message, (sent) => {
        const wire = encodePeerMessage(sent);
        const decoded = decodePeerMessage(wire);
        assert.ok(decoded.ok, decoded.ok ? "" : decoded.reason);
        // fast-check's records have no prototype; a clone has the usual one.
        assert.deepEqual(decoded.message, structuredClone(sent));
        assert.deepEqual(encodePeerMessage(decoded.message ?? assert.fail("passed over")), wire);
      }),
      { numRuns: 500 },
    );
  });

  it("are refused with a reason when cut anywhere or followed by anything", () => {
    fc.assert(
      fc.property(message, fc.nat(), (sent, at) => {
        const wire = encodePeerMessage(sent);
        assert.equal(decodePeerMessage(wire.subarray(0, at % wire.length)).ok, false);
        const longer = decodePeerMessage(Buffer.concat([wire, new Uint8Array(1)]));
        assert.deepEqual(longer, { ok: false, reason: "fields-malformed" });
      }),
      { numRuns: 300 },
    );
  });

  it("tolerate fields that later versions append, and pass over kinds and questions of theirs", () => {
    fc.assert(
      fc.property(
        message,
        fc.uint8Array({ maxLength: 100 }),
        fc.uint8Array({ maxLength: 9 }),
        (sent, one, two) => {
          const later = new MessageWriter();
          writeFields(
            later,
            new Map([
              [300, one],
              [7, two],
            ]),
          );
          const decoded = decodePeerMessage(Buffer.concat([encodePeerMessage(sent), later.finish()]));
          assert.deepEqual(decoded, { ok: true, message: structuredClone(sent) });
        },
      ),
      { numRuns: 300 },
    );
    for (const kind of [21, 99, 255])
      assert.deepEqual(decodePeerMessage(new Uint8Array([kind, 1, 2])), { ok: true, message: undefined });
    const question = new MessageWriter().byte(23).varint(1).byte(77).text("?").finish();
    assert.deepEqual(decodePeerMessage(question), { ok: true, message: undefined });
    const twice = new MessageWriter().byte(27).varint(1).sized(new Uint8Array(0));
    for (let i = 0; i < 2; i++) twice.varint(5).sized(new Uint8Array(1));
    assert.deepEqual(decodePeerMessage(twice.finish()), { ok: false, reason: "fields-malformed" });
    const tooMany = new MessageWriter().byte(27).varint(1).sized(new Uint8Array(0));
    for (let number = 1; number <= FIELD_COUNT_MAX + 1; number++)
      tooMany.varint(number).sized(new Uint8Array(0));
    assert.deepEqual(decodePeerMessage(tooMany.finish()), { ok: false, reason: "fields-malformed" });
  });

  it("never make the decoder throw, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.integer({ min: 0, max: 30 }), (garbage, kind) => {
        const decoded = decodePeerMessage(Buffer.concat([new Uint8Array([kind]), garbage]));
        // What it does accept must be something that a member could have sent.
        if (decoded.ok && decoded.message !== undefined) encodePeerMessage(decoded.message);
        else if (!decoded.ok) assert.match(decoded.reason, /^[a-z-]+$/);
      }),
      { numRuns: 3_000 },
    );
  });

  it("survive any single flipped byte without a throw", () => {
    fc.assert(
      fc.property(message, fc.nat(), fc.integer({ min: 1, max: 255 }), (sent, at, flip) => {
        const wire = Uint8Array.from(encodePeerMessage(sent));
        const index = at % wire.length;
        wire[index] = (wire[index] ?? 0) ^ flip;
        decodePeerMessage(wire);
        decodeLinkMessage(wire);
      }),
      { numRuns: 1_000 },
    );
  });

  it("do not share memory with the buffer they came in", () => {
    const wire = encodePeerMessage({ kind: "response", id: 1, body: new Uint8Array([1, 2, 3]) });
    const decoded = decodePeerMessage(wire);
    wire.fill(0);
    assert.ok(decoded.ok && decoded.message?.kind === "response");
    assert.deepEqual(decoded.message.body, new Uint8Array([1, 2, 3]));
    assert.equal(decoded.message.body.buffer.byteLength, 3);
  });

  it("hold their limits: a list that claims a billion items costs nothing", () => {
    const head = new MessageWriter().byte(20).raw(new Uint8Array(16)).varint(0).varint(0);
    const bomb = head.varint(1_000_000_000).finish();
    assert.deepEqual(decodePeerMessage(bomb), { ok: false, reason: "list-too-long" });
    const many = new MessageWriter().byte(20).raw(new Uint8Array(16)).varint(0).varint(0);
    many.varint(SEGMENT_MESSAGE_CHANGE_COUNT_MAX + 1);
    assert.deepEqual(decodePeerMessage(many.finish()), { ok: false, reason: "list-too-long" });
    const long = new MessageWriter().byte(18).raw(new Uint8Array(16)).varint(0).varint(0);
    long.sized(new Uint8Array(CHANGE_BYTES_MAX + 1));
    assert.deepEqual(decodePeerMessage(long.finish()), { ok: false, reason: "bytes-too-long" });
    const huge = new Uint8Array(PEER_MESSAGE_BYTES_MAX + 1);
    assert.deepEqual(decodePeerMessage(huge), { ok: false, reason: "message-too-long" });
    assert.throws(() =>
      encodePeerMessage({ kind: "response", id: 1, body: new Uint8Array(PEER_MESSAGE_BYTES_MAX) }),
    );
  });

  it("refuse numbers in a longer form, kinds that are no peer message's, addresses that are none", () => {
    const actorBytes = new Uint8Array(16);
    const padded = new MessageWriter()
      .byte(22)
      .raw(actorBytes)
      .raw(new Uint8Array([0x80, 0x00]));
    assert.deepEqual(decodePeerMessage(padded.finish()), { ok: false, reason: "number-malformed" });
    assert.deepEqual(decodePeerMessage(new Uint8Array([9])), { ok: false, reason: "kind-unknown" });
    assert.deepEqual(decodePeerMessage(new Uint8Array(0)), { ok: false, reason: "truncated" });
    const odd = new MessageWriter().byte(23).varint(1).byte(2).text("1.2.3").varint(1).varint(1);
    assert.deepEqual(decodePeerMessage(odd.finish()), { ok: false, reason: "address-malformed" });
  });
});

describe("link messages", () => {
  const name = fc.stringMatching(/^[a-z0-9]{1,63}$/);
  const version = fc.integer({ min: 0, max: 65_535 });
  const link: fc.Arbitrary<LinkMessage> = fc.oneof(
    fc.record({
      kind: fc.constant("greeting" as const),
      greeting: fc.record({
        versionLowest: version,
        versionHighest: version,
        clusterId: name,
        memberName: name,
        memberNumber: fc.nat(63),
        memberNumberCount: fc.nat(64),
        instance: fc.uint8Array({ minLength: 16, maxLength: 16 }),
      }),
    }),
    fc.constant({ kind: "accepted" as const }),
    fc.record({
      kind: fc.constant("refused" as const),
      reason: fc.stringMatching(/^[a-z-]{1,30}$/),
      explanation: fc.string({ maxLength: 100 }),
    }),
  );

  it("come back as they were, and tolerate fields that later versions append", () => {
    fc.assert(
      fc.property(link, fc.uint8Array({ maxLength: 300 }), (sent, later) => {
        const wire = encodeLinkMessage(sent);
        const plain = structuredClone(sent);
        assert.deepEqual(decodeLinkMessage(wire), plain);
        const field = new MessageWriter();
        writeFields(field, new Map([[9, later]]));
        assert.deepEqual(decodeLinkMessage(Buffer.concat([wire, field.finish()])), plain);
        if (sent.kind !== "greeting") return;
        const list = { version: later.length ** 5, memberNumber: later.length % 64 };
        const greeting = { ...sent.greeting, capabilities: ["carries-unknown", "what-comes.2"], list };
        const offered = encodeLinkMessage({ kind: "greeting", greeting });
        assert.deepEqual(decodeLinkMessage(offered), structuredClone({ kind: "greeting", greeting }));
      }),
    );
  });

  it("are none when what is appended is no field, or offers what is no name", () => {
    const greeting = {
      versionLowest: 2,
      versionHighest: 2,
      clusterId: "c",
      memberName: "m",
      memberNumber: 0,
      memberNumberCount: 8,
      instance: new Uint8Array(16),
    };
    const wire = encodeLinkMessage({ kind: "greeting", greeting });
    assert.equal(decodeLinkMessage(Buffer.concat([wire, Buffer.from([3, 9])])), undefined);
    const list = (...bytes: number[]) => Buffer.concat([wire, Buffer.from([2, bytes.length, ...bytes])]);
    assert.ok(decodeLinkMessage(list(7, 1)));
    for (const bad of [[], [7], [7, 64], [0x80, 0], Array<number>(12).fill(0xff)])
      assert.equal(decodeLinkMessage(list(...bad)), undefined);
    const odd = encodeLinkMessage({
      kind: "greeting",
      greeting: { ...greeting, capabilities: ["Not a name"] },
    });
    assert.equal(decodeLinkMessage(odd), undefined);
  });

  it("are nothing when they are garbage", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (garbage) => {
        decodeLinkMessage(garbage);
      }),
      { numRuns: 1_000 },
    );
    assert.equal(decodeLinkMessage(new Uint8Array(2_000)), undefined);
  });
});

describe("the reader", () => {
  it("reads every varint that the writer writes", () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (value) => {
        const reader = new MessageReader(new MessageWriter().varint(value).finish());
        assert.equal(reader.varint(), value);
        assert.ok(reader.finished);
      }),
    );
  });
});
