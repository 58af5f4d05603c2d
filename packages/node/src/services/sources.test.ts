// Several sources of one configuration: files of members, the API, LoxiLB's clients. Members with real documents.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type ServiceSpec, ServiceSpecSchema } from "@holdfast/api";
import { type Address, HoldfastError, PROTOCOL_SCTP, seededRandom, serviceIdOf } from "@holdfast/model";
import { ManualClock } from "@holdfast/model/testing";
import { ConfigurationDocument } from "@holdfast/sync/testing";
import { FIELDS } from "./file-source.ts";
import { createServiceRegistry, type FileOptions, type ServiceRegistry } from "./registry.ts";
import { RemovalKeeper, type RemovalNews } from "./removal-keeper.ts";

const PORT = 38412;
const VIP = "203.0.113.1";
const ID = serviceIdOf(PROTOCOL_SCTP, VIP, PORT);
const NAMES = ["m0", "m1", "m2"];

function spec(over: Partial<ServiceSpec> = {}, endpoints = ["10.0.0.1"]): ServiceSpec {
  return {
    name: "",
    protocol: "sctp",
    vips: [VIP],
    port: PORT,
    selection: "leastAssociations",
    endpoints: endpoints.map((address) => ({ address, port: PORT, weight: 1, state: "active" })),
    idleTimeoutS: 900,
    restartNewAddresses: "abort",
    clientPrefixes: [],
    withdrawWhenDown: false,
    endpointRemoval: { mode: "drain", graceS: 300 },
    ...over,
  };
}

interface Node {
  readonly document: ConfigurationDocument;
  readonly registry: ServiceRegistry;
  readonly keeper: RemovalKeeper;
  isRunning: boolean;
}

class Cluster {
  readonly clock = new ManualClock();
  readonly nodes: Node[] = [];
  /** Living sessions, the same at every member. */
  readonly sessions = new Map<string, number>();
  readonly removed: RemovalNews[] = [];
  readonly news: string[] = [];
  /** No member hangs or is away. */
  inSight = true;
  readonly #kept: (() => Uint8Array)[] = [];

  constructor(count = 3) {
    for (let n = 0; n < count; n++) this.start(n);
  }

  /** A life of a member; `disk`: with what its store kept. */
  start(n: number, disk: "new" | "kept" = "new"): Node {
    const stored = disk === "kept" ? this.#kept[n]?.() : undefined;
    const document = new ConfigurationDocument({
      random: seededRandom(this.clock.nowMs() * 8 + n),
      send: (to, heads, changes) => {
        if (!node.isRunning) return;
        for (const [other, peer] of this.nodes.entries())
          if (other !== n && peer.isRunning && (to === undefined || to === other))
            peer.document.receive(n, heads, changes);
      },
      keep: (save) => {
        this.#kept[n] = save;
      },
    });
    const sessions = {
      ofService: (id: string) => this.sessions.get(id) ?? 0,
      ofEndpoint: (id: string, endpoint: string) => this.sessions.get(`${id} ${endpoint}`) ?? 0,
      isComplete: () => true,
    };
    const registry = createServiceRegistry(document, NAMES[n] as string, undefined, {
      sessions,
      clock: this.clock,
      members: () => NAMES,
    });
    const keeper = new RemovalKeeper({
      store: document,
      sessions,
      clock: this.clock,
      seesAll: () => this.inSight,
      tell: (news) => {
        this.news.push(`${NAMES[n]} ${news.kind} ${news.endpoint ?? "all"}`);
        if (news.kind === "over") this.removed.push(news);
      },
    });
    const node: Node = { document, registry, keeper, isRunning: true };
    this.nodes[n] = node;
    if (stored !== undefined) document.load(stored);
    return node;
  }

  meet(n: number): void {
    for (const other of this.nodes.keys())
      if (other !== n) {
        this.node(n).document.connected(other);
        this.node(other).document.connected(n);
      }
  }

  kill(n: number): void {
    this.node(n).isRunning = false;
    this.node(n).keeper.close();
  }

  node(n: number): Node {
    return this.nodes[n] as Node;
  }

  file(n: number, specs: readonly ServiceSpec[], options: FileOptions = {}) {
    return this.node(n).registry.applyFile(specs, options);
  }

  endpoints(n = 0, id = ID): readonly string[] {
    return (
      this.node(n)
        .document.service(id)
        ?.endpoints.map(({ address }) => address) ?? []
    );
  }
}

const codeOf = (action: () => unknown): string => {
  try {
    action();
    return "none";
  } catch (error) {
    assert.ok(error instanceof HoldfastError, String(error));
    return error.code;
  }
};

test("a member that comes back with an older file imposes nothing, with its disk or without", () => {
  for (const disk of ["kept", "new"] as const) {
    const cluster = new Cluster();
    for (const n of cluster.nodes.keys()) cluster.file(n, [spec(), spec({ vips: ["203.0.113.9"] })]);
    cluster.kill(2);
    cluster.clock.advance(1);
    const newer = [spec({ idleTimeoutS: 600 }, ["10.0.0.1", "10.0.0.2"])];
    for (const n of [0, 1]) cluster.file(n, newer);
    // By the API, at a member whose file does not have it.
    cluster.node(0).registry.create(spec({ vips: ["203.0.113.20"] }));

    cluster.start(2, disk);
    if (disk === "new") cluster.file(2, [spec(), spec({ vips: ["203.0.113.9"] })]);
    cluster.meet(2);
    cluster.file(2, [spec(), spec({ vips: ["203.0.113.9"] })], { starting: true });
    for (const n of cluster.nodes.keys()) {
      assert.deepEqual(cluster.endpoints(n), ["10.0.0.1", "10.0.0.2"], disk);
      assert.equal(cluster.node(n).document.service(ID)?.idleTimeoutS, 600, disk);
      assert.ok(cluster.node(n).document.service(serviceIdOf(PROTOCOL_SCTP, "203.0.113.20", PORT)));
    }
    // Its own next version counts again.
    cluster.file(2, [spec({ idleTimeoutS: 700 }), spec({ vips: ["203.0.113.9"] })]);
    assert.equal(cluster.node(0).document.service(ID)?.idleTimeoutS, 700);
    assert.deepEqual(cluster.endpoints(0), ["10.0.0.1", "10.0.0.2"]);
  }
});

test("a file changes what it changed, and leaves alone what others did", () => {
  const cluster = new Cluster();
  cluster.file(0, [spec({}, ["10.0.0.1", "10.0.0.2"])]);
  const { registry } = cluster.node(1);
  registry.replace(ID, spec({ selection: "hash" }, ["10.0.0.1", "10.0.0.2", "10.0.0.3"]));
  registry.setEndpointState(ID, "10.0.0.1", "drain");
  cluster.file(0, [spec({ idleTimeoutS: 600 }, ["10.0.0.1", "10.0.0.4"])]);
  const service = cluster.node(2).document.service(ID);
  assert.deepEqual(
    service?.endpoints.map(({ address, state }) => [address, state]),
    [
      ["10.0.0.1", "drain"],
      ["10.0.0.3", "active"],
      ["10.0.0.4", "active"],
    ],
  );
  assert.deepEqual([service?.selection, service?.idleTimeoutS], ["hash", 600]);
  assert.deepEqual(
    service?.leaving?.map(({ address }) => address),
    ["10.0.0.2"],
  );
  assert.equal(cluster.node(2).registry.managerOf(service as never), "file@m0");
  // Drained by an operator, out of the file for a moment, and back: drained.
  cluster.file(0, [spec({ idleTimeoutS: 600 }, ["10.0.0.4"])]);
  cluster.file(0, [spec({ idleTimeoutS: 600 }, ["10.0.0.1", "10.0.0.4"])]);
  const drained = cluster
    .node(2)
    .document.service(ID)
    ?.endpoints.find(({ address }) => address === "10.0.0.1");
  assert.equal(drained?.state, "drain");
  // It never had the one that the API made, and does not take it away.
  registry.create(spec({ vips: ["203.0.113.20"] }));
  cluster.file(0, [spec({ idleTimeoutS: 600 }, ["10.0.0.1", "10.0.0.4"])]);
  assert.equal(cluster.node(0).document.services().length, 2);
});

test("every field of a service in a file is one that a file can change", () => {
  const alone = ["protocol", "vips", "port", "endpoints"];
  const fields = Object.keys(ServiceSpecSchema.properties).filter((name) => !alone.includes(name));
  assert.deepEqual([...FIELDS].sort(), fields.sort());
  const cluster = new Cluster();
  cluster.file(0, [spec({ natPort: "require" })]);
  cluster.file(0, [spec({ natPort: "keep", selection: "hash" })]);
  assert.equal(cluster.node(1).document.service(ID)?.selection, "hash");
  assert.notEqual(cluster.node(1).document.service(ID)?.natPort, "require");
});

test("VIPs in another order are the same service, in a file and in the API", () => {
  const cluster = new Cluster();
  const [a, b] = [VIP, "203.0.113.2"];
  cluster.file(0, [spec({ vips: [a, b] })]);
  cluster.sessions.set(ID, 3);
  const before = cluster.node(1).document.service(ID);
  cluster.file(0, [spec({ vips: [b, a] })]);
  assert.deepEqual(cluster.node(1).document.services(), [before]);
  cluster.file(0, [spec({ vips: [b, a], idleTimeoutS: 600 })]);
  assert.deepEqual(cluster.node(1).document.services(), [{ ...before, idleTimeoutS: 600 }]);
  const { registry } = cluster.node(1);
  assert.equal(registry.create(spec({ vips: [b, a], idleTimeoutS: 600 })).created, false);
  assert.deepEqual(registry.replace(ID, spec({ vips: [b, a] })).vips, [a, b]);
  assert.equal(
    codeOf(() => registry.replace(ID, spec({ vips: [b] }))),
    "SERVICE_INVALID",
  );
});

test("a VIP moves from one service to another whatever order the file lists them in, and whole or not at all", () => {
  const [a, b, moving] = [VIP, "203.0.113.11", "203.0.113.2"] as const;
  for (const turn of [false, true]) {
    const cluster = new Cluster();
    const listed = (specs: readonly ServiceSpec[]) => (turn ? [...specs].reverse() : specs);
    cluster.file(0, listed([spec({ vips: [a, moving] }), spec({ vips: [b] })]));
    const states = new Set<string>();
    const vipsOf = (n: number) =>
      [a, b].map((vip) => cluster.node(n).document.service(serviceIdOf(PROTOCOL_SCTP, vip, PORT))?.vips);
    cluster.node(2).document.subscribe(() => states.add(JSON.stringify(vipsOf(2))));
    cluster.file(0, listed([spec({ vips: [a] }), spec({ vips: [b, moving] })]));
    assert.deepEqual([...states], [JSON.stringify([[a], [b, moving]])]);
    // A service of the API is in the way of one of three changes: none of them applies.
    cluster.node(1).registry.create(spec({ vips: ["203.0.113.30"] }));
    const version = cluster.node(0).document.version();
    const bad = [spec({ vips: [a], idleTimeoutS: 600 }), spec({ vips: ["203.0.113.40", "203.0.113.30"] })];
    assert.equal(
      codeOf(() => cluster.file(0, listed([...bad, spec({ vips: [b, moving] })]))),
      "SERVICE_VIP_TAKEN",
    );
    assert.equal(cluster.node(0).document.version(), version);
  }
});

test("a file that was cut short takes no service with living associations; with the operator's word it does", () => {
  const other = "203.0.113.9";
  const otherId = serviceIdOf(PROTOCOL_SCTP, other, PORT);
  const whole = [spec(), spec({ vips: [other], name: "second" })];
  const cluster = new Cluster();
  cluster.file(0, whole);
  cluster.sessions.set(otherId, 7);
  const version = cluster.node(0).document.version();
  const short = [spec({ idleTimeoutS: 600 })];
  assert.equal(
    codeOf(() => cluster.file(0, short)),
    "SERVICE_REMOVAL_UNCONFIRMED",
  );
  assert.equal(cluster.node(0).document.version(), version);
  // At a start it stays, and the file is asked again.
  const { kept } = cluster.file(0, short, { starting: true });
  assert.deepEqual(
    kept.map(({ service }) => service),
    [otherId],
  );
  assert.equal(
    codeOf(() => cluster.file(0, short)),
    "SERVICE_REMOVAL_UNCONFIRMED",
  );
  cluster.file(0, short, { removed: [{ service: "second", sessions: "drain" }] });
  assert.equal(cluster.node(1).document.service(otherId)?.removal?.mode, "drain");
  cluster.file(0, whole);
  assert.equal(cluster.node(1).document.service(otherId)?.removal, undefined);
  cluster.file(0, short, { removed: [{ service: otherId, sessions: "end" }] });
  assert.equal(cluster.node(1).document.service(otherId), undefined);
  // Without associations nothing is lost.
  cluster.file(0, whole);
  cluster.sessions.clear();
  assert.deepEqual(cluster.file(0, short).removed, [otherId]);
});

test("a file that lets go of what others made takes nothing away", () => {
  const cluster = new Cluster();
  cluster.node(1).registry.create(spec());
  cluster.file(0, []);
  cluster.file(0, [spec()]);
  assert.deepEqual(cluster.file(0, []).kept, [{ service: ID, because: "no file made it" }]);
  assert.ok(cluster.node(2).document.service(ID));
});

test("a service of several files goes with the last one that lets go", () => {
  const cluster = new Cluster();
  for (const n of cluster.nodes.keys()) cluster.file(n, [spec()]);
  assert.equal(cluster.node(0).registry.managerOf(cluster.node(0).registry.find(ID)), "file@m0,m1,m2");
  for (const n of [1, 0]) {
    assert.equal(cluster.file(n, []).kept.length, 1);
    assert.ok(cluster.node(2).document.service(ID));
  }
  assert.deepEqual(cluster.file(2, []).removed, [ID]);
});

test("an endpoint that leaves drains for its grace, and goes by any member's hand", () => {
  const cluster = new Cluster();
  const two: Address[] = ["10.0.0.1", "10.0.0.2"];
  cluster.node(0).registry.create(spec({}, two));
  const key = `${ID} 10.0.0.2:${PORT}`;
  cluster.sessions.set(key, 5);
  cluster.node(0).registry.replace(ID, spec());
  const leaving = () => cluster.node(1).document.service(ID)?.leaving ?? [];
  assert.deepEqual([leaving().length, leaving()[0]?.graceMs], [1, 300_000]);
  cluster.clock.advance(299_000);
  cluster.node(1).registry.put(spec({}, two));
  assert.deepEqual(leaving(), []);
  assert.deepEqual(cluster.endpoints(2), two);
  assert.equal(cluster.removed.length, 0);
  cluster.clock.advance(1_000);
  const place2 = `10.0.0.2:${PORT}`;
  const said = NAMES.flatMap((name) => [`${name} begins ${place2}`, `${name} undone ${place2}`]);
  assert.deepEqual([...cluster.news].sort(), said.sort());

  cluster.node(0).registry.removeEndpoint(ID, "10.0.0.2");
  cluster.kill(0);
  cluster.clock.advance(302_000);
  assert.deepEqual(leaving(), []);
  const place = { serviceId: ID, endpoint: { address: "10.0.0.2", port: PORT } } as const;
  assert.ok(cluster.node(2).document.isDeleted(place));
  assert.equal(cluster.removed[0]?.sessions, 5);
});

test("without associations an endpoint leaves after a moment; told to end, at once", () => {
  const cluster = new Cluster();
  const { registry } = cluster.node(0);
  registry.create(spec({}, ["10.0.0.1", "10.0.0.2", "10.0.0.3"]));
  const leaving = () => cluster.node(1).document.service(ID)?.leaving?.length ?? 0;
  registry.removeEndpoint(ID, "10.0.0.2");
  cluster.clock.advance(5_000);
  assert.equal(leaving(), 1);
  cluster.clock.advance(10_000);
  assert.equal(leaving(), 0);
  registry.removeEndpoint(ID, "10.0.0.3", { farewell: "end" });
  assert.equal(leaving(), 0);
  registry.replace(ID, spec({ endpointRemoval: { mode: "end", graceS: 300 } }, ["10.0.0.4"]));
  assert.equal(leaving(), 0);
  assert.deepEqual(cluster.endpoints(1), ["10.0.0.4"]);
});

test("a deleted rule is everybody's to finish or to bring back, and outlives the member that was asked", () => {
  const cluster = new Cluster();
  cluster.node(0).registry.put(spec(), "loxilb");
  cluster.sessions.set(ID, 2);
  cluster.node(0).registry.retire(ID, 120_000);
  cluster.kill(0);
  cluster.clock.advance(60_000);
  assert.equal(cluster.node(1).document.service(ID)?.removal?.mode, "change");
  cluster.node(2).registry.put(spec(), "loxilb");
  cluster.clock.advance(200_000);
  assert.ok(cluster.node(1).document.service(ID), "posted again at another member, and deleted all the same");
  cluster.node(2).registry.retire(ID, 120_000);
  cluster.kill(2);
  cluster.clock.advance(121_000);
  assert.equal(cluster.node(1).document.service(ID), undefined);
  assert.equal(cluster.removed.at(-1)?.sessions, 2);
});

test("while a member hangs, the grace of a change stands still; not for ever, and not what an operator deleted", () => {
  for (const hungMs of [300_000, 10_000_000]) {
    const cluster = new Cluster();
    cluster.node(0).registry.put(spec(), "loxilb");
    cluster.sessions.set(ID, 2);
    cluster.clock.advance(5_000);
    cluster.inSight = false;
    cluster.node(0).registry.retire(ID, 120_000);
    cluster.clock.advance(Math.min(hungMs, 590_000));
    assert.ok(cluster.node(1).document.service(ID), "who waits for the member that hangs has not posted yet");
    if (hungMs < 590_000) {
      cluster.inSight = true;
      cluster.clock.advance(100_000);
      assert.ok(cluster.node(1).document.service(ID), "the grace goes on where it stood");
    }
    cluster.clock.advance(30_000);
    assert.equal(cluster.node(1).document.service(ID), undefined);
  }
  const cluster = new Cluster();
  cluster.node(0).registry.put(spec(), "loxilb");
  cluster.sessions.set(ID, 2);
  cluster.inSight = false;
  cluster.node(0).registry.remove(ID);
  cluster.clock.advance(301_000);
  assert.equal(cluster.node(1).document.service(ID), undefined);
});

test("a member that starts within a grace does not forget it, and does not cut it short for a wrong clock", () => {
  const cluster = new Cluster(1);
  cluster.node(0).registry.put(spec(), "loxilb");
  cluster.node(0).registry.retire(ID, 120_000);
  cluster.kill(0);
  cluster.clock.advance(119_000);
  const node = cluster.start(0, "kept");
  cluster.clock.advance(20_000);
  assert.ok(node.document.service(ID), "ended by a wall clock alone");
  cluster.clock.advance(15_000);
  assert.equal(node.document.service(ID), undefined);
});

test("a service with living associations drains before it goes, unless the operator says so", () => {
  const cluster = new Cluster();
  const { registry } = cluster.node(0);
  registry.create(spec());
  assert.equal(registry.remove(ID).removal, undefined);
  assert.equal(cluster.node(1).document.service(ID), undefined);
  registry.create(spec());
  cluster.sessions.set(ID, 1);
  assert.equal(registry.remove(ID).removal?.graceMs, 300_000);
  cluster.clock.advance(60_000);
  assert.ok(cluster.node(1).document.service(ID));
  cluster.sessions.clear();
  cluster.clock.advance(2_000);
  assert.equal(cluster.node(1).document.service(ID), undefined);
  registry.create(spec());
  cluster.sessions.set(ID, 1);
  registry.remove(ID, { farewell: "end" });
  assert.equal(cluster.node(1).document.service(ID), undefined);
});
