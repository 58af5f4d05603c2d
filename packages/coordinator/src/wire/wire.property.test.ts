import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { addressBytes, addressFromBytes } from "@holdfast/model";
import fc from "fast-check";
import { decode } from "./decode.ts";
import { encode, encodeUnsealed, seal } from "./encode.ts";
import * as wire from "./message.ts";

const KEY = new Uint8Array(32).fill(7);
const SEALING = { id: 0x0102_0304, key: KEY };
const NETWORK = 0x1234;
/** The key must not be taken for the one of a spoiled id, or nothing behind the tag would be read. */
const KEYS = () => KEY;
const tagged = (bytes: Uint8Array) =>
  seal(Buffer.concat([bytes, new Uint8Array(wire.TAG_SIZE)]), KEY, NETWORK);
const u8 = fc.integer({ min: 0, max: 0xff });
const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const u48 = fc.integer({ min: 0, max: 2 ** 48 - 1 });
const u53 = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const address = fc.oneof(bytes(4), bytes(16)).map(addressFromBytes);
const envelope = {
  from: u16,
  to: u16,
  incarnation: u53,
  boot: fc.integer({ min: 1, max: 2 ** 48 - 1 }),
  echo: u48,
  sequence: u32,
};
const state: fc.Arbitrary<wire.AdvertisedState> = fc.record({
  ready: fc.boolean(),
  caughtUp: fc.boolean(),
  draining: fc.boolean(),
  settling: fc.boolean(),
  mainAlive: fc.boolean(),
  networks: fc.array(fc.record({ id: u16, carrier: fc.boolean(), heard: fc.boolean() }), {
    maxLength: wire.NETWORK_COUNT_MAX,
  }),
  claims: fc.array(fc.record({ vip: address, grade: u8, rank: u8 }), { maxLength: 20 }),
  unserved: fc.array(address, { maxLength: 20 }),
});
const message: fc.Arbitrary<wire.Message> = fc.oneof(
  fc.record({
    ...envelope,
    kind: fc.constant("probe" as const),
    echoSequence: u32,
    opinion: fc.constantFrom(...wire.OPINIONS),
    opinionIncarnation: u53,
    stateVersionHeld: u32,
    stateVersion: u32,
    answerNow: fc.boolean(),
    heardNetworks: fc.array(u16, { maxLength: wire.NETWORK_COUNT_MAX }),
    state: fc.option(state, { nil: undefined }),
  }),
  fc.record({
    ...envelope,
    kind: fc.constant("ask" as const),
    nonce: u32,
    subjects: fc.array(fc.record({ number: u16, incarnation: u53 }), { maxLength: wire.SUBJECT_COUNT_MAX }),
  }),
  fc.record({
    ...envelope,
    kind: fc.constant("answer" as const),
    nonce: u32,
    ages: fc.array(fc.record({ number: u16, incarnation: u53, ageMs: u16 }), {
      maxLength: wire.SUBJECT_COUNT_MAX,
    }),
  }),
  fc.record({ ...envelope, kind: fc.constant("leave" as const) }),
);

suite("messages on the wire", () => {
  test("what is encoded is decoded", () => {
    fc.assert(
      fc.property(message, (original) => {
        // fast-check's records have no prototype.
        assert.deepEqual(decode(encode(original, SEALING, NETWORK), KEYS, NETWORK), {
          ok: true,
          message: structuredClone(original),
          keyId: SEALING.id,
          highestVersion: original.kind === "probe" ? wire.PROTOCOL_VERSION : undefined,
        });
      }),
    );
  });

  test("a probe of an older version says so, and fields of later ones are passed over", () => {
    fc.assert(
      fc.property(message, fc.uint8Array({ maxLength: 200 }), (original, later) => {
        const old = seal(encodeUnsealed(original, SEALING.id, 2, 2), KEY, NETWORK);
        const heard = decode(old, KEYS, NETWORK);
        assert.ok(heard.ok && heard.highestVersion === (original.kind === "probe" ? 2 : undefined));
        const body = encodeUnsealed(original, SEALING.id, wire.VERSION_OF_FIELDS).slice(0, -wire.TAG_SIZE);
        const longer = (...fields: number[]) =>
          decode(
            seal(Buffer.concat([body, Buffer.from(fields), new Uint8Array(16)]), KEY, NETWORK),
            KEYS,
            NETWORK,
          );
        const read = longer(1, later.length, ...later, 9, 0);
        assert.deepEqual(read.ok && read.message, structuredClone(original));
        assert.deepEqual(longer(9, 0, 1, 0), { ok: false, refusal: "malformed" });
        assert.deepEqual(longer(1, 9), { ok: false, refusal: "malformed" });
        assert.deepEqual(decode(encode(original, SEALING, NETWORK), KEYS, NETWORK, 1), {
          ok: false,
          refusal: "version",
        });
      }),
    );
  });

  test("no change of a byte, no other key and no cut passes the tag", () => {
    fc.assert(
      fc.property(message, fc.nat(), fc.integer({ min: 1, max: 255 }), (original, position, flip) => {
        const datagram = encode(original, SEALING, NETWORK);
        assert.equal(decode(datagram, () => new Uint8Array(32), NETWORK).ok, false);
        assert.equal(decode(datagram, KEYS, NETWORK ^ 1).ok, false);
        assert.equal(decode(datagram.subarray(0, position % datagram.length), KEYS, NETWORK).ok, false);
        const at = position % datagram.length;
        datagram[at] = (datagram[at] as number) ^ flip;
        assert.equal(decode(datagram, KEYS, NETWORK).ok, false);
      }),
    );
  });

  test("authentic nonsense is refused by name and never throws", () => {
    const names = new Set<string>();
    fc.assert(
      fc.property(message, fc.uint8Array({ maxLength: 80 }), fc.nat(), (original, junk, position) => {
        const body = encode(original, SEALING, NETWORK).slice(0, -wire.TAG_SIZE);
        const at = wire.KIND_OFFSET + (position % (body.length - wire.KIND_OFFSET));
        const spoiled = Buffer.concat([body.subarray(0, at), junk]);
        const result = decode(tagged(spoiled), KEYS, NETWORK);
        if (!result.ok) names.add(result.refusal);
      }),
      { numRuns: 500 },
    );
    assert([...names].every((name) => (wire.REFUSALS as readonly string[]).includes(name)));
    assert(names.has("malformed") && names.has("tooShort"));
  });

  test("each refusal that needs no content has its name", () => {
    const good = encode(
      { kind: "leave", from: 1, to: 2, incarnation: 3, boot: 4, echo: 5, sequence: 6 },
      SEALING,
      NETWORK,
    );
    const resigned = (change: (body: Uint8Array) => void) => {
      const body = good.slice(0, -wire.TAG_SIZE);
      change(body);
      return tagged(body);
    };
    const refusal = (datagram: Uint8Array) => {
      const result = decode(datagram, KEYS, NETWORK);
      return result.ok ? "none" : result.refusal;
    };
    assert.equal(refusal(good), "none");
    assert.equal(refusal(new Uint8Array(wire.DATAGRAM_SIZE_MAX + 1)), "tooLong");
    assert.equal(refusal(new Uint8Array(10)), "tooShort");
    assert.equal(refusal(new Uint8Array(60)), "notOurs");
    assert.equal(refusal(resigned((body) => body.set([99], wire.VERSION_OFFSET))), "version");
    assert.equal(refusal(resigned((body) => body.set([99], wire.KIND_OFFSET))), "kind");
    assert.equal(
      refusal(resigned((body) => body.fill(0xff, wire.INCARNATION_OFFSET, wire.BOOT_OFFSET))),
      "malformed",
    );
    assert.equal(refusal(resigned((body) => body.fill(0, wire.BOOT_OFFSET, wire.ECHO_OFFSET))), "malformed");
  });

  test("the longest legal message fits into a datagram", () => {
    const vip = "2001:db8:1111:2222:3333:4444:5555:6666";
    const longest: wire.Message = {
      kind: "probe",
      from: 1,
      to: 2,
      incarnation: 3,
      boot: 4,
      echo: 5,
      sequence: 6,
      echoSequence: 7,
      opinion: "alive",
      opinionIncarnation: 8,
      stateVersionHeld: 9,
      stateVersion: 10,
      answerNow: true,
      heardNetworks: new Array<number>(wire.NETWORK_COUNT_MAX).fill(1),
      state: {
        ready: true,
        caughtUp: true,
        draining: true,
        settling: true,
        mainAlive: true,
        networks: new Array(wire.NETWORK_COUNT_MAX).fill({ id: 1, carrier: true, heard: true }),
        claims: new Array(wire.CLAIM_COUNT_MAX).fill({ vip, grade: 0, rank: 0 }),
        unserved: [],
      },
    };
    const datagram = encode(longest, SEALING, NETWORK);
    assert(datagram.length <= wire.DATAGRAM_SIZE_MAX, `${datagram.length} bytes`);
    assert.deepEqual(decode(datagram, KEYS, NETWORK), {
      ok: true,
      message: longest,
      keyId: SEALING.id,
      highestVersion: wire.PROTOCOL_VERSION,
    });
  });

  test("addresses keep their canonical text", () => {
    for (const text of [
      "203.0.113.1",
      "::",
      "::1",
      "2001:db8::",
      "2001:db8:0:1:1:1:1:1",
      "2001:0:0:1::1",
      "fe80::1:0:0:1",
    ] as const) {
      assert.equal(addressFromBytes(addressBytes(text)), text);
    }
  });
});
