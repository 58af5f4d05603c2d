import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { parseAddress } from "../address.ts";
import { PROTOCOL_TCP, PROTOCOL_UDP, serviceIdOf } from "../service.ts";
import { foreignFactOf } from "../session/codec/foreign.ts";
import { CAUSES } from "../session/codec/format.ts";
import { sessionIdFromBytes } from "../session/identity.ts";
import { encodeWith } from "../session/kinds.ts";
import { decodePlain } from "./codec.ts";
import { PLAIN_SESSIONS } from "./kind.ts";
import {
  comparePlain,
  isPlainEnded,
  joinPlain,
  MARKS_MAX,
  type PlainNews,
  type PlainRecord,
  plainEnd,
} from "./record.ts";

const end = fc.record(
  {
    cause: fc.constantFrom(...CAUSES),
    absorbing: fc.boolean(),
    epochSeen: fc.integer({ min: 0, max: 15 }),
    phaseSeen: fc.constant("init" as const),
    activitySeen: fc.integer({ min: 0, max: 3 }),
  },
  { noNullPrototype: true },
);
const encodePlain = (record: PlainRecord) => encodeWith(PLAIN_SESSIONS, record);
const news: fc.Arbitrary<PlainNews> = fc.record(
  { marks: fc.integer({ min: 0, max: 31 }), activity: fc.integer({ min: 0, max: 3 }), end },
  { requiredKeys: [], noNullPrototype: true },
);
const address = fc.ipV4().map(parseAddress);
const port = fc.integer({ min: 1, max: 65_535 });
const record: fc.Arbitrary<PlainRecord> = fc
  .tuple(
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
    fc.constantFrom(PROTOCOL_TCP, PROTOCOL_UDP),
    fc.tuple(address, address, address),
    fc.tuple(port, port, port),
    fc.integer({ min: 0, max: 2 ** 41 }),
    fc.integer({ min: -32_768, max: 32_767 }),
    fc.integer({ min: 0, max: MARKS_MAX }),
    fc.tuple(fc.option(end, { nil: undefined }), fc.option(address, { nil: undefined })),
  )
  .map(
    ([
      id,
      protocol,
      [client, vip, endpoint],
      [clientPort, endpointPort, natPort],
      at,
      shift,
      marks,
      last,
    ]) => ({
      ...{ id: sessionIdFromBytes(id), protocol, client, vip, endpoint, clientPort, endpointPort, natPort },
      ...{ serviceId: serviceIdOf(protocol, vip, 80), createdAtMs: at, activity: at % 4, member: at % 8 },
      ...{ windowScale: protocol === PROTOCOL_TCP ? 7 : 0, shift, marks, end: last[0] },
      ...(last[1] !== undefined && last[1] !== vip && { source: last[1] }),
    }),
  );

describe("records of TCP and UDP", () => {
  test("the join is associative, commutative and idempotent, and says when nothing is new", () => {
    fc.assert(
      fc.property(record, fc.array(news, { maxLength: 5 }), (base, all) => {
        const forward = all.reduce<PlainRecord>(
          (joined, each) => joinPlain(joined, { id: base.id, ...each }),
          base,
        );
        const backward = all.reduceRight<PlainRecord>(
          (joined, each) => joinPlain(joined, { id: base.id, ...each }),
          base,
        );
        assert.deepEqual(forward, backward);
        for (const each of all) assert.equal(joinPlain(forward, { id: base.id, ...each }), forward);
      }),
    );
  });

  test("what was witnessed absorbs; a time-out loses to any mark or activity that it did not see", () => {
    fc.assert(
      fc.property(record, news, (base, more) => {
        const absorbing = plainEnd({ ...base, marks: 0, activity: 0 }, "closed", true);
        assert.ok(
          isPlainEnded(joinPlain(joinPlain(base, { id: base.id, end: absorbing }), { id: base.id, ...more })),
        );
        const { id, activity } = base;
        const idle = plainEnd(base, "idle", false);
        const timedOut = joinPlain({ ...base, end: undefined }, { id, end: idle });
        assert.ok(isPlainEnded(timedOut));
        assert.ok(!isPlainEnded(joinPlain(timedOut, { id, activity: activity + 1 })));
      }),
    );
  });

  test("what two halves each let time out has ended when they meet, and a time-out made now ends all", () => {
    fc.assert(
      fc.property(record, news, news, (base, a, b) => {
        const { id } = base;
        const [one, other] = [a, b].map((more) => {
          const known = joinPlain({ ...base, end: undefined }, { id, ...more, end: undefined });
          return joinPlain(known, { id, end: plainEnd(known, "idle", false) });
        });
        const met = joinPlain(one as PlainRecord, { ...(other as PlainRecord) });
        assert.ok(isPlainEnded(met));
        const later = joinPlain(base, { id, ...a });
        assert.ok(isPlainEnded(joinPlain(later, { id, end: plainEnd(later, "idle", false) })));
      }),
    );
  });

  test("bytes come back as what they were, in the frame that older versions carry", () => {
    fc.assert(
      fc.property(record, (base) => {
        const bytes = encodePlain(base);
        assert.deepEqual(decodePlain(bytes), base);
        const fact = foreignFactOf(bytes);
        assert.ok(fact?.isRecord);
        const { id, protocol, serviceId, clientPort, createdAtMs, activity } = base;
        assert.deepEqual(fact.envelope, { id, protocol, serviceId, clientPort, createdAtMs });
        assert.equal(fact.activity, activity);
        const { end: e } = base;
        assert.equal(fact.end, e === undefined ? undefined : e.absorbing ? "final" : e.activitySeen);
      }),
    );
  });

  test("any bytes are a record or none, and never more than that", () => {
    fc.assert(
      fc.property(record, fc.nat(), fc.nat({ max: 255 }), (base, at, value) => {
        const bytes = encodePlain(base);
        bytes[at % bytes.length] = value;
        decodePlain(bytes);
        decodePlain(bytes.subarray(0, at % bytes.length));
        assert.equal(decodePlain(new Uint8Array([...encodePlain(base), 0])), undefined);
      }),
    );
  });

  test("of two records of one client one counts, the same wherever they are compared", () => {
    fc.assert(
      fc.property(record, record, (a, b) => {
        const other = { ...b, protocol: a.protocol };
        if (a.id !== b.id) assert.notEqual(comparePlain(a, other) < 0, comparePlain(other, a) < 0);
      }),
    );
  });
});
