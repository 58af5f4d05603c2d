import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Address } from "../address.ts";
import { arbitraryDelta, arbitraryRecord, arbitrarySessionId } from "../session/arbitrary.ts";
import { decodeSession } from "../session/codec/read.ts";
import { canonicalForm, encodeSession } from "../session/codec/write.ts";
import { sessionIdOf } from "../session/identity.ts";
import { emptyRecord, isIdentified, join } from "../session/join.ts";
import type { Candidate, Generation, SessionDelta, SessionId, SessionRecord } from "../session/record.ts";
import { candidateKeyOf } from "../session/sctp/candidate.ts";
import {
  commitOf,
  currentGeneration,
  endOf,
  isEnded,
  isLiving,
  natPortsOf,
  pendingGenerations,
} from "../session/sctp/facts.ts";
import type { SessionChange } from "../session/table.ts";
import { SessionView } from "./view.ts";

const SERVICE_ID = "sctp/203.0.113.1:38412";

function candidateOf(natPort: number, endpointTag: number, over: Partial<Candidate> = {}): Candidate {
  return {
    member: natPort & 7,
    endpoint: "10.0.0.1",
    endpointPort: 9999,
    natPort,
    endpointTag,
    endpointAddresses: [],
    echoed: false,
    ...over,
  };
}

function generationWith(clientTag: number, candidate: Candidate, over: Partial<Generation> = {}): Generation {
  return {
    clientTag,
    arrivalVip: 0,
    source: "192.0.2.1",
    listed: ["192.0.2.1"],
    pairing: ["192.0.2.1"],
    phase: "initAck",
    aborted: false,
    candidates: new Map([[candidateKeyOf(candidate), candidate]]),
    ...over,
  };
}

function newSession(serial: number, over: Partial<SessionDelta> = {}): SessionDelta {
  const client: Address = `192.0.2.${serial % 250}`;
  const candidate = candidateOf(4096 + serial, serial + 1);
  return {
    id: sessionIdOf(SERVICE_ID, 5000, serial + 1, client, []),
    protocol: 132,
    serviceId: SERVICE_ID,
    clientPort: 5000,
    createdAtMs: 1_700_000_000_000,
    clients: new Map([[client, true]]),
    generations: new Map([[serial + 1, generationWith(serial + 1, candidate)]]),
    ...over,
  };
}

/** What the view does, without any of its means. */
class PlainView {
  readonly records = new Map<SessionId, SessionRecord>();

  join(delta: SessionDelta): void {
    this.records.set(delta.id, join(this.records.get(delta.id) ?? emptyRecord(delta.id), delta));
  }

  shown(): SessionRecord[] {
    return [...this.records.values()].filter(isIdentified);
  }
}

function assertSame(view: SessionView, plain: PlainView): void {
  const shown = plain.shown();
  assert.equal(view.size, shown.length);
  assert.equal(view.endedCount, shown.filter(isEnded).length);
  assert.deepEqual(canonicalForm(view.values()), canonicalForm(shown));
  const ids = (records: Iterable<SessionRecord>) => [...records].map(({ id }) => id).sort();
  for (const record of shown) {
    assert.deepEqual(encodeSession(view.get(record.id) as SessionRecord), encodeSession(record));
    for (const client of record.clients.keys()) {
      const { serviceId, clientPort } = record;
      const expected = shown.filter(
        (r) => r.serviceId === serviceId && r.clientPort === clientPort && r.clients.has(client),
      );
      assert.deepEqual(ids(view.byClient(serviceId, client, clientPort)), ids(expected));
    }
    for (const tag of endpointTagsOf(record)) {
      const withTag = shown.filter((r) => endpointTagsOf(r).has(tag));
      assert.deepEqual(ids(view.byEndpointTag(tag)), ids(withTag));
    }
    for (const { endpoint, endpointPort, natPort } of natPortsOf(record)) {
      const isAt = (c: { endpoint: Address; endpointPort: number }) =>
        c.endpoint === endpoint && c.endpointPort === endpointPort;
      const atPort = shown.filter((r) => natPortsOf(r).some((c) => isAt(c) && c.natPort === natPort));
      assert.deepEqual(ids(view.byNatPort(endpoint, endpointPort, natPort)), ids(atPort));
      const atEndpoint = shown.filter((r) => natPortsOf(r).some(isAt));
      assert.deepEqual(ids(view.byEndpoint(endpoint, endpointPort)), ids(atEndpoint));
    }
  }
}

function endpointTagsOf({ generations, commit }: SessionRecord): Set<number> {
  const all = [...generations.values(), ...(commit?.generation === undefined ? [] : [commit.generation])];
  const tags = all.flatMap(({ candidates }) =>
    [...candidates.values()].map(({ endpointTag }) => endpointTag),
  );
  return new Set(tags.filter((tag) => tag !== 0));
}

test("the view and its indices say what a plain map of joined records says", () => {
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.tuple(fc.constant("join" as const), arbitraryDelta(arbitrarySessionId)) },
    { weight: 1, arbitrary: fc.tuple(fc.constant("forget" as const), arbitraryDelta(arbitrarySessionId)) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.integer({ min: 1, max: 6 }), (steps, idCount) => {
      const view = new SessionView();
      const plain = new PlainView();
      const known = steps.slice(0, idCount).map(([, delta]) => delta.id);
      for (const [i, [what, given]] of steps.entries()) {
        const delta = { ...given, id: known[i % known.length] as SessionId };
        if (what === "join") {
          plain.join(delta);
          if (i % 2 === 0) view.joinRemote(delta);
          else assert.notEqual(view.joinRemoteBytes(encodeSession(plainDelta(delta))), undefined);
        } else {
          plain.records.delete(delta.id);
          view.forget(delta.id);
        }
      }
      assertSame(view, plain);
    }),
    { numRuns: 150 },
  );
});

/** As a member would send it: within the bounds. */
function plainDelta(delta: SessionDelta): SessionDelta {
  return join(emptyRecord(delta.id), delta);
}

test("ten thousand sessions come, change, go and come again in the same room", () => {
  const view = new SessionView();
  for (let i = 0; i < 10_000; i++) view.joinRemote(newSession(i));
  assert.equal(view.size, 10_000);
  assert.equal(view.byClient(SERVICE_ID, "192.0.2.7", 5000).length, 40);
  const { byteCount } = view;
  for (let round = 1; round <= 20; round++) {
    for (let i = 0; i < 10_000; i += 2) view.forget(newSession(i).id);
    for (let i = 0; i < 10_000; i += 2) view.joinRemote(newSession(i, { activity: round * 100 }));
  }
  assert.equal(view.size, 10_000);
  assert.ok(view.byteCount <= byteCount * 1.5, `${byteCount} bytes became ${view.byteCount}`);
  assert.equal(view.byNatPort("10.0.0.1", 9999, 4096 + 4242).length, 1);
});

test("a record is shown when its identity has come, whatever came before", () => {
  const view = new SessionView();
  const changes: SessionChange[] = [];
  view.subscribe((change) => changes.push(change));
  const { id, serviceId, clientPort, ...rest } = newSession(1);
  view.joinRemote({ id, ...rest });
  assert.equal(view.get(id), undefined);
  assert.equal(view.size + changes.length, 0);
  view.joinRemote({ id, serviceId: serviceId as string, clientPort: clientPort as number });
  assert.equal(view.get(id)?.clients.size, 1);
  assert.deepEqual(
    changes.map(({ previous, origin }) => [previous, origin]),
    [[undefined, "remote"]],
  );
});

test("listeners see every change in order, also those that they make themselves", () => {
  const view = new SessionView();
  const seen: string[] = [];
  view.subscribe(({ previous, record, origin }) => {
    seen.push(`${previous?.activity ?? "-"}>${record?.activity ?? "-"} ${origin}`);
    if (record?.activity === 1) view.apply({ id: record.id, activity: 2 });
    seen.push("after");
  });
  const { id } = view.apply(newSession(1, { activity: 1 }));
  view.apply({ id, activity: 2 });
  view.joinRemote({ id, activity: 3 });
  view.forget(id);
  assert.deepEqual(seen, [
    "->1 local",
    "after",
    "1>2 local",
    "after",
    "2>3 remote",
    "after",
    "3>- remote",
    "after",
  ]);
});

test("what apply hands to replication is complete, and nothing when nothing is new", () => {
  const view = new SessionView();
  const sent: SessionDelta[] = [];
  view.onLocal((delta, urgent) => sent.push({ ...delta, activity: urgent ? 1 : 0 }));
  const first = newSession(1);
  view.apply(first);
  view.apply(first);
  assert.equal(sent.length, 1);
  assert.equal(sent[0]?.generations?.get(2)?.ordinal, 1);
  const record = view.get(first.id) as SessionRecord;
  const candidate = candidateOf(4097, 2);
  view.apply({ id: first.id, commit: commitOf(record, 2, candidate) }, { urgent: true });
  assert.equal(sent[1]?.commit?.generation?.source, "192.0.2.1");
  assert.equal(sent[1]?.activity, 1);
  const restart = generationWith(77, candidate);
  view.apply({ id: first.id, generations: new Map([[77, restart]]) });
  assert.equal(sent[2]?.generations?.get(77)?.ordinal, 2);
  assert.equal(sent[2]?.commit, undefined);
});

test("forged restarts never crowd out the generation in force, and the latest INIT always finds room", () => {
  const view = new SessionView();
  const { id } = view.apply(newSession(1));
  view.apply({ id, commit: commitOf(view.get(id) as SessionRecord, 2, candidateOf(4097, 2)) });
  for (let tag = 100; tag < 120; tag++) {
    view.apply({ id, generations: new Map([[tag, generationWith(tag, candidateOf(4097, 0))]]) });
  }
  const record = view.get(id) as SessionRecord;
  assert.equal(currentGeneration(record)?.clientTag, 2);
  assert.deepEqual(
    pendingGenerations(record).map(({ clientTag }) => clientTag),
    [119, 118, 117, 116],
  );
  view.apply({
    id,
    generations: new Map([[2, { ...(currentGeneration(record) as Generation), phase: "shutdown" }]]),
  });
  assert.equal(currentGeneration(view.get(id) as SessionRecord)?.phase, "shutdown");
});

test("a time-out loses to anything that it did not see; a verified end only to a later commit", () => {
  const view = new SessionView();
  const { id } = view.apply(newSession(1));
  const end = (cause: "idle" | "shutdown") =>
    view.apply({ id, end: endOf(view.get(id) as SessionRecord, cause) });
  assert.ok(isEnded(end("idle")));
  assert.ok(isLiving(view.apply({ id, activity: 1 })));
  assert.ok(isEnded(end("idle")));
  const committed = view.apply({
    id,
    commit: commitOf(view.get(id) as SessionRecord, 2, candidateOf(4097, 2)),
  });
  assert.ok(isLiving(committed));
  assert.ok(isEnded(end("shutdown")));
  assert.ok(isEnded(view.apply({ id, activity: 50 })));
  const restart = generationWith(9, candidateOf(4097, 5));
  view.apply({ id, generations: new Map([[9, restart]]) });
  assert.ok(
    isLiving(view.apply({ id, commit: commitOf(view.get(id) as SessionRecord, 9, candidateOf(4097, 5)) })),
  );
});

test("of two sessions with one client address and port the one with the later commit comes first", () => {
  const view = new SessionView();
  const clients = new Map<Address, boolean>([["192.0.2.1", true]]);
  const a = view.apply(newSession(1, { clients }));
  const b = view.apply(newSession(2, { clients }));
  const first = () => view.byClient(SERVICE_ID, "192.0.2.1", 5000)[0]?.id;
  view.apply({ id: a.id, commit: commitOf(a, 2, candidateOf(4097, 2)) });
  assert.equal(first(), a.id);
  view.apply({ id: b.id, commit: { ...commitOf(b, 3, candidateOf(4098, 3)), epoch: 2 } });
  assert.equal(first(), b.id);
  view.apply({ id: b.id, end: endOf(view.get(b.id) as SessionRecord, "abortByClient") });
  assert.equal(first(), a.id);
});

test("bytes that are no delta change nothing; known bytes are covered", () => {
  const view = new SessionView();
  assert.equal(view.joinRemoteBytes(new Uint8Array([1, 2, 3])), undefined);
  assert.equal(view.joinRemoteBytes(new Uint8Array(40).fill(255)), undefined);
  const bytes = encodeSession(view.apply(newSession(1)));
  assert.deepEqual(view.joinRemoteBytes(bytes), { covered: true, contradicted: false });
  view.apply({ id: newSession(1).id, activity: 1 });
  assert.deepEqual(view.joinRemoteBytes(bytes), { covered: false, contradicted: false });
});

test("deltas as bytes give what deltas as objects give, and the bytes at rest are the record", () => {
  const ids = ["00000000-0000-5000-8000-000000000001", "00000000-0000-5000-8000-000000000002"];
  fc.assert(
    fc.property(fc.array(arbitraryDelta(fc.constantFrom(...ids)), { maxLength: 12 }), (said) => {
      const fromBytes = new SessionView();
      const plain = new SessionView();
      for (const delta of said) {
        const { id } = delta;
        const bytes = encodeSession(plainDelta(delta));
        const decoding = decodeSession(bytes);
        assert.ok("delta" in decoding);
        const theirs = fromBytes.joinRemoteBytes(bytes);
        const result = plain.joinRemote(decoding.delta);
        // Equal bytes are known at once; the slow way may find that an ended record covers no more than its
        // end.
        if (theirs?.covered !== true) assert.deepEqual(theirs, result);
        const record = plain.known(id);
        const atRest = fromBytes.bytesOf(id);
        assert.equal(atRest === undefined, record === undefined);
        if (record === undefined || atRest === undefined) continue;
        const read = decodeSession(atRest);
        assert.ok("delta" in read);
        assert.deepEqual(encodeSession(join(emptyRecord(id), read.delta)), encodeSession(record));
        assert.deepEqual(encodeSession(fromBytes.known(id) ?? { id }), encodeSession(record));
        const idBytes = bytes.subarray(0, 16);
        const isShown = isIdentified(record) && !isEnded(record);
        assert.deepEqual(fromBytes.liveBytesOf(idBytes), isShown ? atRest : undefined);
      }
      assertSameForm(fromBytes, plain);
    }),
    { numRuns: 50 },
  );
});

test("a record that comes again with nothing but an end more ends as if it had been joined", () => {
  let endCount = 0;
  fc.assert(
    fc.property(
      arbitraryRecord(arbitrarySessionId),
      arbitraryRecord(arbitrarySessionId),
      (known, { end }) => {
        const bytes = encodeSession({ ...known, end });
        const decoding = decodeSession(bytes);
        assert.ok("delta" in decoding);
        const [fromBytes, plain] = [new SessionView(), new SessionView()].map((view) => {
          view.joinRemoteBytes(encodeSession({ ...known, end: undefined }));
          const changes: SessionChange[] = [];
          view.subscribe((change) => changes.push(change));
          return { view, changes };
        }) as [
          { view: SessionView; changes: SessionChange[] },
          { view: SessionView; changes: SessionChange[] },
        ];
        const told = fromBytes.view.joinRemoteBytes(bytes);
        if (end === undefined) return;
        endCount++;
        assert.deepEqual(told, plain.view.joinRemote(decoding.delta));
        assert.deepEqual(fromBytes.changes, plain.changes);
        assert.deepEqual(fromBytes.view.bytesOf(known.id), plain.view.bytesOf(known.id));
        assert.equal(fromBytes.view.endedCount, plain.view.endedCount);
        // Cut short, or with more behind it, it is no record.
        assert.equal(fromBytes.view.joinRemoteBytes(Buffer.concat([bytes, Uint8Array.of(0)])), undefined);
      },
    ),
    { numRuns: 300 },
  );
  assert.ok(endCount > 0);
});

function assertSameForm(a: SessionView, b: SessionView): void {
  assert.deepEqual(canonicalForm(a.values()), canonicalForm(b.values()));
}
