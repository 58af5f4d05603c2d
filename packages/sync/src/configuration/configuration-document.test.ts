import assert from "node:assert/strict";
import { test } from "node:test";
import * as Automerge from "@automerge/automerge";
import {
  type Address,
  type FileImage,
  HoldfastError,
  PROTOCOL_SCTP,
  type Service,
  serviceIdOf,
} from "@holdfast/model";
import type { ConfigurationDocument } from "./configuration-document.ts";
import { Cluster, endpoint, HISTORY_COUNT_MAX, type Sent, service } from "./testing/cluster.ts";

test("a service made at one member is at all, and survives a restart", () => {
  const cluster = new Cluster(3);
  const made = service("203.0.113.1", {
    endpoints: [
      { ...endpoint("10.0.0.1"), healthCheck: { kind: "http", path: "/up" } },
      endpoint("10.0.0.2", 3),
    ],
    healthCheck: { kind: "tcp", port: 7, expect: "yes" },
    announce: {
      ranks: [{ med: 5, communities: ["65001:7"] }, false],
      routers: { core: [{ med: 9 }] },
      spread: true,
    },
  });
  cluster.documents[1]?.putService(made);
  cluster.documents[1]?.setNote("a", { posted: [1, "x"] });
  cluster.documents[1]?.setNote("b", { gone: true });
  cluster.documents[1]?.setNote("b", undefined);
  cluster.documents[1]?.setPin("203.0.113.1", "m2");
  cluster.documents[2]?.setMemberDrained("m0", true);
  cluster.deliver();
  for (const document of cluster.documents) {
    assert.deepEqual(document.services(), [made]);
    assert.deepEqual([...document.pins()], [["203.0.113.1", "m2"]]);
    assert.deepEqual([...document.drainedMembers()], ["m0"]);
    assert.deepEqual([...document.notes()], [["a", { posted: [1, "x"] }]]);
  }
  assert.throws(() => cluster.documents[0]?.setNote("a", { long: "x".repeat(5000) }), /too long/);
  assert.throws(
    () => cluster.documents[0]?.putService({ ...made, healthCheck: { kind: "ping", port: 7 } }),
    /no meaning for ping/,
  );
  assert.throws(
    () => cluster.documents[0]?.putService({ ...made, announce: { ranks: [{ med: -1 }] } }),
    /ranks\[0\] has a med/,
  );
  const again = cluster.make(7, 99);
  assert.equal(again.load(cluster.kept[0]?.() as Uint8Array), true);
  assert.equal(again.version(), cluster.documents[0]?.version());
});

test("edits of two endpoints of one service at two members both happen", () => {
  const cluster = new Cluster(2);
  const [a, b] = cluster.documents as [ConfigurationDocument, ConfigurationDocument];
  const made = service("203.0.113.1", { endpoints: [endpoint("10.0.0.1"), endpoint("10.0.0.2")] });
  a.putService(made);
  cluster.deliver();
  cluster.cut = true;
  a.putService({ ...made, endpoints: [{ ...endpoint("10.0.0.1"), state: "drain" }, endpoint("10.0.0.2")] });
  b.putService({ ...made, endpoints: [endpoint("10.0.0.1"), endpoint("10.0.0.2", 5), endpoint("10.0.0.3")] });
  cluster.agree();
  assert.deepEqual(a.services()[0]?.endpoints, [
    { ...endpoint("10.0.0.1"), state: "drain" },
    endpoint("10.0.0.2", 5),
    endpoint("10.0.0.3"),
  ]);
});

test("of conflicting values one rule chooses, whatever the actors are called", () => {
  const outcomes = new Set<string>();
  for (let seed = 1; seed <= 12; seed++) {
    const cluster = new Cluster(3, seed);
    cluster.cut = true;
    for (const [i, document] of cluster.documents.entries()) {
      document.putService(service("203.0.113.1", { name: `by ${i}` }));
    }
    // One more edit is the later one, by whomever.
    cluster.documents[1]?.putService(service("203.0.113.1", { name: "again by 1" }));
    cluster.agree();
    outcomes.add(cluster.documents[0]?.services()[0]?.name ?? "");
  }
  assert.deepEqual([...outcomes], ["again by 1"]);
});

test("a deletion that did not know an edit does not undo it; a later one does", () => {
  const cluster = new Cluster(2);
  const [a, b] = cluster.documents as [ConfigurationDocument, ConfigurationDocument];
  a.putService(service("203.0.113.1"));
  cluster.deliver();
  cluster.cut = true;
  a.deleteService("sctp/203.0.113.1:38412");
  b.putService(service("203.0.113.1", { name: "edited" }));
  cluster.agree();
  assert.equal(a.services()[0]?.name, "edited");
  a.deleteService("sctp/203.0.113.1:38412");
  cluster.agree();
  assert.deepEqual(b.services(), []);
});

test("two services made at once with one VIP: the one that is named after it has it, the other lives on without", () => {
  const cluster = new Cluster(2);
  const [a, b] = cluster.documents as [ConfigurationDocument, ConfigurationDocument];
  cluster.cut = true;
  a.putService(service("203.0.113.1", { vips: ["203.0.113.1", "203.0.113.2"] }));
  b.putService(service("203.0.113.2"));
  cluster.agree();
  assert.deepEqual(
    b.services().map(({ id }) => id),
    ["sctp/203.0.113.1:38412", "sctp/203.0.113.2:38412"],
  );
  assert.deepEqual(b.service("sctp/203.0.113.1:38412")?.vips, ["203.0.113.1"]);
  assert.deepEqual(b.withheld(), [
    { service: "sctp/203.0.113.1:38412", vip: "203.0.113.2", by: "sctp/203.0.113.2:38412" },
  ]);
  assert.throws(
    () => b.putService(service("203.0.113.1", { vips: ["203.0.113.1", "203.0.113.2"] })),
    (error) => error instanceof HoldfastError && error.code === "SERVICE_VIP_TAKEN",
  );
});

test("a change of two services applies whole or not at all, in either order of its services", () => {
  const [first, second] = ["203.0.113.1", "203.0.113.11"] as const;
  const before = [service(first, { vips: [first, "203.0.113.2"] }), service(second)];
  const after = [service(first), service(second, { vips: [second, "203.0.113.2"] })];
  for (const put of [after, [...after].reverse()]) {
    const cluster = new Cluster(2);
    const [a, b] = cluster.documents as [ConfigurationDocument, ConfigurationDocument];
    a.commit({ put: before });
    cluster.deliver();
    const versions = new Set<string>();
    b.subscribe(() => versions.add(JSON.stringify(b.services().map(({ vips }) => vips))));
    a.commit({ put });
    cluster.deliver();
    const byPort = (services: readonly Service[]) =>
      [...services].sort((x, y) => x.vips.length - y.vips.length);
    assert.deepEqual(byPort(b.services()), after);
    assert.equal(versions.size, 1, "the other member saw a step in between");
    const version = a.version();
    const bad = service("203.0.113.21", { idleTimeoutS: 0 });
    assert.throws(() => a.commit({ put: [bad], remove: [second] }), /idleTimeoutS/);
    assert.equal(a.version(), version, "half of a refused change was applied");
  }
});

test("what is unknown is not deleted; what left its list is neither", () => {
  const cluster = new Cluster(2);
  const [a, b] = cluster.documents as [ConfigurationDocument, ConfigurationDocument];
  const place = (address: Address) => ({
    serviceId: "sctp/203.0.113.1:38412",
    endpoint: { address, port: 9999 },
  });
  const one = service("203.0.113.1", { endpoints: [endpoint("10.0.0.1"), endpoint("10.0.0.2")] });
  assert.equal(a.isDeleted(place("10.0.0.1")), false);
  a.putService(one);
  const leaving = [{ ...endpoint("10.0.0.2"), sinceMs: 5, graceMs: 300_000 }];
  a.putService({ ...one, endpoints: [endpoint("10.0.0.1")], leaving });
  cluster.deliver();
  assert.deepEqual(b.services()[0]?.leaving, leaving);
  assert.equal(b.isDeleted(place("10.0.0.2")), false);
  a.putService({ ...one, endpoints: [endpoint("10.0.0.1")] });
  cluster.deliver();
  assert.equal(b.isDeleted(place("10.0.0.2")), true);
  assert.equal(b.isDeleted(place("10.0.0.1")), false);
  a.deleteService(one.id);
  cluster.deliver();
  assert.equal(b.isDeleted({ serviceId: one.id }), true);
  assert.equal(b.isDeleted({ serviceId: "sctp/203.0.113.9:38412" }), false);
});

test("the first word of a file gives way to everything that was ever said", () => {
  const cluster = new Cluster(2);
  const [a, b] = cluster.documents as [ConfigurationDocument, ConfigurationDocument];
  cluster.cut = true;
  a.putService(service("203.0.113.1", { name: "made" }));
  a.putService(service("203.0.113.2"));
  a.deleteService("sctp/203.0.113.2:38412");
  const old = [
    service("203.0.113.1", { name: "an older file's" }),
    service("203.0.113.2"),
    service("203.0.113.3"),
  ];
  const image: FileImage = { fields: "0a1b", vips: ["203.0.113.1"], endpoints: ["0a1b2c3d4e5f"] };
  const put = new Map(old.map(({ id }) => [id, image]));
  b.commit({ put: old, file: { member: "m1", put, remove: [] }, isFirst: true });
  cluster.agree();
  assert.deepEqual(
    a.services().map(({ name, vips }) => [name, vips[0]]),
    [
      ["made", "203.0.113.1"],
      ["s", "203.0.113.3"],
    ],
  );
  assert.deepEqual([...(a.fileOf("m1") ?? [])], [...put]);
  assert.equal(a.fileOf("m0"), undefined);
});

test("random edits in changing company converge, over many epochs", () => {
  for (let seed = 1; seed <= 4; seed++) {
    const cluster = new Cluster(3, seed);
    const { random } = cluster;
    for (let round = 0; round < 12; round++) {
      cluster.cut = random.below(2) === 0;
      const edits = round % 4 === 3 ? HISTORY_COUNT_MAX / 4 : 10;
      for (let i = 0; i < edits; i++) {
        const document = cluster.documents[random.below(3)] as ConfigurationDocument;
        const vip: Address = `203.0.113.${1 + random.below(4)}`;
        const what = random.below(5);
        if (what === 0) document.deleteService(serviceIdOf(PROTOCOL_SCTP, vip, 38412));
        else if (what === 1) document.setMemberDrained(`m${random.below(3)}`, random.below(2) === 0);
        else if (what === 2) document.setPin(vip, random.below(2) === 0 ? undefined : `m${random.below(3)}`);
        else {
          const endpoints = [
            endpoint("10.0.0.1", random.below(9)),
            endpoint(`10.0.0.${2 + random.below(5)}`),
          ];
          document.putService(service(vip, { name: `n${random.below(1000)}`, endpoints }));
        }
      }
      if (!cluster.cut) cluster.deliver();
      cluster.queue = cluster.cut ? [] : cluster.queue;
      if (random.below(3) === 0) cluster.agree();
    }
    cluster.agree();
    for (const document of cluster.documents) {
      assert.ok(document.historyCount <= HISTORY_COUNT_MAX + 1, `history of ${document.historyCount}`);
      document.free();
    }
    assert.deepEqual(cluster.refusals, []);
  }
});

test("what is not a sound change of a valid entry changes nothing", () => {
  const cluster = new Cluster(2);
  const [a, b] = cluster.documents as [ConfigurationDocument, ConfigurationDocument];
  a.putService(service("203.0.113.1"));
  const sent = cluster.queue[0] as Sent;
  const good = sent.changes.at(-1) as Uint8Array;
  const before = b.version();
  for (let bit = 0; bit < good.length * 8; bit += 3) {
    const bad = good.slice();
    bad[bit >> 3] = (bad[bit >> 3] as number) ^ (1 << (bit & 7));
    b.receive(0, sent.heads, [bad]);
    assert.equal(b.version(), before);
  }
  for (const [key, value] of [
    ["service/sctp/203.0.113.9:38412", JSON.stringify({ r: 1, v: { name: "no" } })],
    ["nonsense", "1"],
    ["drain/m1", JSON.stringify({ r: 0, v: true })],
    ["drain/m1", 7],
  ] as const) {
    const stranger = Automerge.getBackend(Automerge.init({ actor: "ab".repeat(16) }));
    stranger.put("_root", key, value);
    stranger.commit(undefined, 0);
    b.receive(0, [], stranger.getChanges([]));
    stranger.free();
    assert.equal(b.version(), before);
  }
  assert.ok(cluster.refusals.includes("wrong-hash") && cluster.refusals.includes("wrong-value"));
  cluster.deliver();
  assert.equal(b.version(), a.version());
  assert.equal(b.load(new Uint8Array([1, 2, 3])), false);
});

test("a service that is not valid is refused with what is wrong", () => {
  const document = new Cluster(1).documents[0] as ConfigurationDocument;
  for (const bad of [
    service("203.0.113.1", { vips: [] }),
    service("203.0.113.1", { id: "other" }),
    service("203.0.113.1", { endpoints: [endpoint("10.0.0.1"), endpoint("10.0.0.1")] }),
    service("203.0.113.1", { endpoints: [endpoint("10.0.0.1", -1)] }),
    service("203.0.113.1", { idleTimeoutS: 0 }),
    service("203.0.113.1", { vips: ["203.0.113.1", "203.0.113.1"] }),
  ]) {
    assert.throws(
      () => document.putService(bad),
      (error) => error instanceof HoldfastError && error.code === "SERVICE_INVALID",
    );
  }
  assert.deepEqual(document.services(), []);
});

/** Writes into a document as a later version does. */
function writeLater(to: ConfigurationDocument, entries: Readonly<Record<string, unknown>>): void {
  const later = Automerge.getBackend(Automerge.load<Record<string, unknown>>(to.save()));
  const writer = later.clone("cd".repeat(16));
  for (const [key, value] of Object.entries(entries)) writer.put("_root", key, JSON.stringify(value));
  writer.commit(undefined, 0);
  to.receive(9, writer.getHeads(), writer.getChanges(later.getHeads()));
  writer.free();
  later.free();
}

test("what a later version writes is carried: over members, epochs and restarts, and edits of the rest leave it alone", () => {
  const cluster = new Cluster(3);
  const [a, b] = cluster.documents as [ConfigurationDocument, ConfigurationDocument];
  const made = service("203.0.113.1", { endpoints: [endpoint("10.0.0.1")] });
  a.putService(made);
  cluster.deliver();
  const other = { r: 1, v: { protocol: 6, anything: [{ deep: true }] }, n: "other-protocols", x: "y" };
  writeLater(a, {
    "moon/phase": { r: 3, v: "full" },
    "service/tcp/203.0.113.9:443": other,
    [`service/${made.id}`]: { r: 2, v: { ...made, endpoints: undefined, later: { of: "field" } } },
    [`endpoint/${made.id}|10.0.0.1|9999`]: { r: 2, v: { weight: 1, state: "active", zone: "z" } },
  });
  cluster.agree();
  assert.deepEqual(cluster.refusals, []);
  for (const document of cluster.documents) {
    assert.equal(document.carriedCount, 2);
    assert.deepEqual(
      document.services().map(({ id }) => id),
      [made.id],
      "what cannot be read is not served",
    );
  }
  b.putService({ ...made, name: "renamed", endpoints: [endpoint("10.0.0.1", 7)] });
  // Epochs go by, each with a first change of its own.
  for (let i = 0; i < 3 * HISTORY_COUNT_MAX; i++) b.setPin("203.0.113.1", i % 2 === 0 ? "m1" : "m2");
  cluster.agree();
  const again = cluster.make(7, 99);
  assert.equal(again.load(cluster.kept[2]?.() as Uint8Array), true);
  const entries = Automerge.load<Record<string, string>>(again.save());
  const textOf = (key: string): unknown => JSON.parse(entries[key] ?? "null");
  assert.deepEqual(textOf("moon/phase"), { r: 3, v: "full" });
  assert.deepEqual(textOf("service/tcp/203.0.113.9:443"), other);
  const renamed = textOf(`service/${made.id}`) as { r: number; v: { name: string; later: unknown } };
  assert.deepEqual([renamed.v.name, renamed.v.later], ["renamed", { of: "field" }]);
  const moved = textOf(`endpoint/${made.id}|10.0.0.1|9999`) as { v: unknown };
  assert.deepEqual(moved.v, { weight: 7, state: "active", zone: "z" });
  assert.equal(again.version(), a.version());
});

test("what is carried has a frame and limits", () => {
  const cluster = new Cluster(1);
  const [document] = cluster.documents as [ConfigurationDocument];
  const nested = JSON.parse("[".repeat(40) + "]".repeat(40)) as unknown;
  for (const [key, value] of [
    ["moon/phase", { v: "no revision" }],
    ["moon/phase", { r: 1, v: nested }],
    ["moon/phase", { r: 1, v: "x".repeat(20_000) }],
    ["no slash", { r: 1, v: 1 }],
    [`moon/${"x".repeat(2_000)}`, { r: 1, v: 1 }],
    ["drain/m1", { r: 1, v: true, n: "Not a Name" }],
    ["drain/m1", { r: 1, v: "a value that needs nothing must be valid" }],
  ] as const) {
    writeLater(document, { [key]: value });
    assert.equal(cluster.refusals.pop(), "wrong-value", `${key.slice(0, 20)} was taken`);
  }
  const many = Object.fromEntries(
    Array.from({ length: 9_000 }, (_, i): [string, unknown] => [`moon/${i}`, { r: 1, v: 1 }]),
  );
  writeLater(document, many);
  assert.deepEqual(cluster.refusals, ["too-much-unknown"]);
  assert.equal(document.carriedCount, 0);
});

test("a service with allowed sources says that its reader must know them, and one without them does not", () => {
  const cluster = new Cluster(1);
  const [document] = cluster.documents as [ConfigurationDocument];
  const made = service("203.0.113.1", { allowedSources: ["198.51.100.0/24"] });
  const needs = () => {
    const entries = Automerge.load<Record<string, string>>(document.save());
    return (JSON.parse(entries[`service/${made.id}`] ?? "null") as { n?: string }).n;
  };
  document.putService(made);
  assert.equal(needs(), "allowed-sources");
  document.putService(service("203.0.113.1"));
  assert.equal(needs(), undefined);
  for (const allowedSources of [[], ["198.51.100.7/24"], ["everybody"], Array(257).fill("198.51.100.0/24")])
    assert.throws(() => document.putService(service("203.0.113.1", { allowedSources })), {
      code: "SERVICE_INVALID",
    });
});
