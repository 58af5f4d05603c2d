// Arbitrary session records for property tests: small domains, so that everything collides with everything.
import fc from "fast-check";
import type { Address } from "../address.ts";
import { sessionIdOf } from "./identity.ts";
import { emptyRecord, join } from "./join.ts";
import {
  type Candidate,
  type Commit,
  type End,
  type EndCause,
  type Generation,
  type Heard,
  PHASES,
  type SessionDelta,
  type SessionRecord,
} from "./record.ts";
import { candidateKeyOf } from "./sctp/candidate.ts";

const CAUSES: readonly EndCause[] = ["shutdown", "operator", "idle", "handshakeTimeout", "superseded"];

export const arbitrarySessionId = fc
  .integer({ min: 1, max: 1000 })
  .map((tag) => sessionIdOf("sctp/203.0.113.1:38412", 5000, tag, "192.0.2.1", []));

const address = fc.constantFrom<Address>(
  ...Array.from({ length: 20 }, (_, i): Address => `192.0.2.${i}`),
  "2001:db8::1",
  "2001:db8:0:1::2:3",
);
/** Plain objects only: deepEqual tells prototypes apart. */
const PLAIN = { noNullPrototype: true } as const;
const port = fc.constantFrom(1, 5000, 65535);
const tag = fc.constantFrom(1, 2, 3, 4, 5, 6, 0xffffffff);

const candidate: fc.Arbitrary<Candidate> = fc.record(
  {
    member: fc.nat(3),
    endpoint: fc.constantFrom<Address>("10.0.0.1", "10.0.0.2"),
    endpointPort: port,
    natPort: fc.constantFrom(4096, 4097),
    endpointTag: fc.constantFrom(0, 1, 2, 3),
    endpointAddresses: fc.uniqueArray(address, { maxLength: 10 }),
    echoed: fc.boolean(),
  },
  PLAIN,
);

const generation: fc.Arbitrary<Generation> = fc.record(
  {
    clientTag: tag,
    ordinal: fc.integer({ min: 1, max: 3 }),
    arrivalVip: fc.nat(3),
    source: address,
    listed: fc.array(address, { maxLength: 3 }),
    pairing: fc.array(address, { maxLength: 4 }),
    phase: fc.constantFrom(...PHASES),
    candidates: fc
      .array(candidate, { maxLength: 14 })
      .map((all) => new Map(all.map((c) => [candidateKeyOf(c), c]))),
    aborted: fc.boolean(),
    probedVips: fc.integer({ min: 1, max: 15 }),
  },
  {
    ...PLAIN,
    requiredKeys: [
      "clientTag",
      "ordinal",
      "arrivalVip",
      "source",
      "listed",
      "pairing",
      "phase",
      "candidates",
      "aborted",
    ],
  },
);

const commit: fc.Arbitrary<Commit> = fc
  .tuple(fc.integer({ min: 1, max: 3 }), candidate, fc.option(generation, { nil: undefined }), tag)
  .map(([epoch, c, g, t]) =>
    g === undefined
      ? { epoch, clientTag: t, candidate: candidateKeyOf(c) }
      : { epoch, clientTag: g.clientTag, candidate: candidateKeyOf(c), generation: g },
  );

const heard: fc.Arbitrary<Heard> = fc.record({ address, stamp: fc.nat(3), member: fc.nat(2) }, PLAIN);

const end: fc.Arbitrary<End> = fc.record(
  {
    cause: fc.constantFrom(...CAUSES),
    absorbing: fc.boolean(),
    epochSeen: fc.nat(3),
    phaseSeen: fc.constantFrom(...PHASES),
    activitySeen: fc.nat(3),
  },
  PLAIN,
);

/** Facts about one session, some of them absent, with no respect for any bound. */
export function arbitraryDelta(id: fc.Arbitrary<string>): fc.Arbitrary<SessionDelta> {
  return fc
    .tuple(
      id,
      fc.record(
        {
          protocol: fc.constant(132 as const),
          serviceId: fc.constantFrom("sctp/203.0.113.1:38412", "sctp/[2001:db8::1]:38412", "other"),
          clientPort: port,
          createdAtMs: fc.nat(1_800_000_000_000),
          clients: fc
            .array(fc.tuple(address, fc.boolean()), { maxLength: 18 })
            .map((all) => new Map(all) as ReadonlyMap<Address, boolean>),
          generations: fc
            .array(generation, { maxLength: 6 })
            .map((all) => new Map(all.map((g) => [g.clientTag, g]))),
          commit,
          heard: fc.array(fc.tuple(fc.nat(3), heard), { maxLength: 4 }).map((all) => new Map(all)),
          activity: fc.nat(4),
          end,
        },
        { requiredKeys: [], noNullPrototype: true },
      ),
    )
    .map(([sessionId, facts]) => ({ id: sessionId, ...facts }) as SessionDelta);
}

/** A record as some member could hold it: facts that were joined. */
export function arbitraryRecord(id: fc.Arbitrary<string>): fc.Arbitrary<SessionRecord> {
  return fc
    .tuple(id, fc.array(arbitraryDelta(id), { minLength: 1, maxLength: 3 }))
    .map(([sessionId, deltas]) =>
      deltas.reduce<SessionRecord>(
        (record, d) => join(record, { ...d, id: sessionId }),
        emptyRecord(sessionId),
      ),
    );
}
