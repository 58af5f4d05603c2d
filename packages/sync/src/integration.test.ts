// Three members as a daemon runs them: engines in worker threads, TLS on the loopback, stores on disk.
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { type AddressInfo, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import {
  type Address,
  canonicalForm,
  endOf,
  PROTOCOL_SCTP,
  type Service,
  type SessionDelta,
  type SessionRecord,
  SessionView,
  serviceIdOf,
  silentLogger,
  systemClock,
} from "@holdfast/model";
import { answeredDelta, establishedDelta } from "@holdfast/model/testing";
import { createAuthority, issueMemberCertificate, type KeyPair } from "./certificates/index.ts";
import { journalReport } from "./journal-report.ts";
import { startSync } from "./start-sync.ts";
import type { Sync, SyncOptions } from "./sync.ts";
import { until } from "./transport/compliance.ts";

const HOST = "127.0.0.1";
const VIPS = ["203.0.113.1", "203.0.113.2", "203.0.113.3"] as const;
const SERVICE = "sctp/203.0.113.1:38412";

function answered(member: number, serial: number): SessionDelta {
  const clientTag = 1 + member * 1_000_000 + serial;
  const source = `10.${member}.${serial >> 8}.${serial & 0xff}` as Address;
  const candidate = {
    member,
    endpoint: "192.0.2.10" as Address,
    endpointPort: 38_412,
    natPort: 1_024 + serial * 8 + member,
    endpointTag: 77,
    endpointAddresses: [],
    echoed: false,
  };
  return answeredDelta({
    serviceId: SERVICE,
    clientPort: 5_000,
    clientTag,
    clients: [source],
    candidate,
    createdAtMs: 1_000,
  });
}

function service(vip: Address): Service {
  return {
    id: serviceIdOf(PROTOCOL_SCTP, vip, 38_412),
    name: vip,
    protocol: PROTOCOL_SCTP,
    vips: [vip],
    port: 38_412,
    selection: "leastAssociations",
    endpoints: (["192.0.2.10", "192.0.2.11"] as const).map((address) => ({
      address,
      port: 38_412,
      weight: 1,
      state: "active",
    })),
    idleTimeoutS: 900,
    restartNewAddresses: "abort",
    clientPrefixes: [],
    withdrawWhenDown: false,
  };
}

function contentOf(store: Sync["configuration"]): string {
  const services = store.services().toSorted((a, b) => (a.id < b.id ? -1 : 1));
  return JSON.stringify([services, [...store.drainedMembers()].sort(), [...store.pins()].sort()]);
}

interface Node {
  readonly view: SessionView;
  readonly sync: Sync;
}

class Cluster {
  readonly nodes: Node[] = [];
  readonly directory: string;
  readonly #ports: readonly number[];
  readonly #certificates: readonly KeyPair[];
  readonly #authorityPem: string;

  constructor(
    directory: string,
    ports: readonly number[],
    certificates: readonly KeyPair[],
    authorityPem: string,
  ) {
    this.directory = directory;
    this.#ports = ports;
    this.#certificates = certificates;
    this.#authorityPem = authorityPem;
  }

  async start(number: number, options: Partial<SyncOptions> = {}): Promise<Node> {
    const view = new SessionView();
    const members: SyncOptions["members"] = this.#ports.map((port, n) => ({
      name: `m${n}`,
      number: n,
      addresses: [{ host: HOST, port }],
    }));
    const sync = await startSync({
      memberName: `m${number}`,
      memberNumber: number,
      memberNumberCount: 8,
      clusterId: "alpha",
      listen: members[number]?.addresses ?? [],
      members,
      tls: { ...(this.#certificates[number] as KeyPair), authorityPem: this.#authorityPem },
      storeDirectory: this.store(number),
      clock: systemClock,
      logger: silentLogger,
      view,
      timing: { backoffMs: 20, backoffMaxMs: 200 },
      ...options,
    });
    const node = { view, sync };
    this.nodes[number] = node;
    return node;
  }

  store(number: number): string {
    return join(this.directory, `m${number}`);
  }

  async startAll(options: Partial<SyncOptions> = {}): Promise<void> {
    await Promise.all([0, 1, 2].map((number) => this.start(number, options)));
    await this.meshed();
  }

  meshed(): Promise<void> {
    return until(
      "all are connected and ready",
      () => this.nodes.every(({ sync }) => sync.connected().length === 2 && sync.ready()),
      30_000,
    );
  }

  /** All views equal, byte for byte in canonical form, with so many records. */
  async equal(count: number): Promise<void> {
    await until(
      `${count} sessions everywhere`,
      () => this.nodes.every(({ view }) => view.size === count),
      30_000,
    );
    const forms = () => this.nodes.map(({ view }) => Buffer.concat(canonicalForm(view.values())));
    await until(
      "equal bytes",
      () => forms().every((form, _, [first]) => form.equals(first as Buffer)),
      30_000,
    );
  }

  /** As a process that is killed: nothing is flushed, nobody is told. */
  async kill(number: number): Promise<void> {
    const node = this.nodes[number];
    await node?.sync.kill();
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map(({ sync }) => sync.stop()));
  }
}

async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<Server>((resolve) => {
          const server = createServer().listen(0, HOST, () => resolve(server));
        }),
    ),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}

const authority = await createAuthority({ clusterId: "alpha" });
const certificates = await Promise.all(
  [0, 1, 2].map((number) =>
    issueMemberCertificate(authority, {
      clusterId: "alpha",
      memberName: `m${number}`,
      memberNumber: number,
      addresses: [HOST],
    }),
  ),
);
const newCluster = async () =>
  new Cluster(
    await mkdtemp(join(tmpdir(), "holdfast-sync-")),
    await freePorts(3),
    certificates,
    authority.certificatePem,
  );

describe("three members over TLS, engines in threads", { concurrency: false }, () => {
  let cluster: Cluster;
  let live = 0;
  before(async () => {
    cluster = await newCluster();
    await cluster.startAll();
  });
  after(async () => {
    await cluster.stop();
    await rm(cluster.directory, { recursive: true, force: true });
  });
  const node = (number: number) => cluster.nodes[number] as Node;
  const create = (member: number, count: number, from: number): SessionRecord[] => {
    const records: SessionRecord[] = [];
    for (let serial = from; serial < from + count; serial++) {
      const { table } = node(member).sync;
      records.push(table.apply(establishedDelta(table.apply(answered(member, serial), { urgent: true }))));
    }
    live += count;
    return records;
  };

  it("have every session, byte for byte, whoever made it", async () => {
    for (const member of [0, 1, 2]) create(member, 20, 0);
    await cluster.equal(live);
  });

  it("release an INIT-ACK when another member holds the record, and show who holds it", async () => {
    const [record] = create(0, 1, 100);
    assert.ok(record !== undefined);
    node(0).sync.setOwners(SERVICE, [0, 1, 2]);
    // 20 ms is for a machine with nothing else to do: here the record must arrive, whenever.
    await node(0).sync.replication.released(record.id);
    await until(
      "both hold it",
      () => node(1).view.get(record.id) !== undefined && node(2).view.get(record.id) !== undefined,
    );
    // Also at those who learned of it, while others are busy with other sessions.
    create(0, 200, 3_000);
    for (const [asked, others] of [
      [0, [1, 2]],
      [1, [0, 2]],
      [2, [0, 1]],
    ] as const) {
      assert.deepEqual(
        [...(await node(asked).sync.replicationState(record.id))],
        others.map((other) => [other, "holds"]),
      );
    }
    const missing = "00000000-0000-5000-8000-00000000abcd";
    node(0).view.joinRemote({ ...record, id: missing });
    assert.deepEqual(
      [...(await node(0).sync.replicationState(missing))],
      [
        [1, "behind"],
        [2, "behind"],
      ],
    );
    node(0).view.forget(missing);
    assert.equal(await node(0).sync.replication.released(record.id), true);
  });

  it("answer each other's questions", async () => {
    node(1).sync.onRequest("echo", (from, body) => new Uint8Array([from, ...body]));
    node(1).sync.onRequest("broken", () => {
      throw new Error("no");
    });
    assert.deepEqual(await node(0).sync.request(1, "echo", new Uint8Array([7])), new Uint8Array([0, 7]));
    const large = new Uint8Array(500_000).fill(3);
    assert.equal((await node(2).sync.request(1, "echo", large))?.length, 500_001);
    assert.equal(large.length, 500_000, "the caller's buffer stays its own");
    assert.equal(await node(0).sync.request(1, "broken", new Uint8Array(1)), undefined);
    assert.equal(await node(0).sync.request(7, "echo", new Uint8Array(1)), undefined);
  });

  it("say what they measure", async () => {
    const metrics = await node(0).sync.metrics();
    assert.ok((metrics.host?.transport.sentBytes ?? 0) > 0);
    assert.ok((metrics.host?.store?.writtenBytes ?? 0) > 0);
    assert.equal(metrics.engine?.state.connected.length, 2);
    assert.ok((metrics.engine?.totals["localDeltas"] ?? 0) > 0);
    assert.deepEqual(
      node(0)
        .sync.members()
        .map(({ name, connected }) => [name, connected]),
      [
        ["m1", true],
        ["m2", true],
      ],
    );
  });

  it("go on when an engine crashes; what happened meanwhile is not lost", async () => {
    const events: string[] = [];
    const off = node(0).sync.on("disconnected", (member) => events.push(`-${member}`));
    await node(0).sync.crash();
    // Nobody is there to replicate it, and the forwarder goes on all the same.
    create(0, 10, 200);
    assert.equal(await node(0).sync.replication.released([...node(0).view.values()][0]?.id ?? ""), false);
    create(1, 5, 200);
    await cluster.meshed();
    await cluster.equal(live);
    // A link that a busy machine loses once more while it comes back is no news.
    assert.deepEqual([...new Set(events)].sort(), ["-1", "-2"]);
    assert.equal((await node(0).sync.metrics()).restartCount, 1);
    off();
  });

  it("bring a killed member back, with its store and without", async () => {
    for (const forget of [false, true]) {
      await cluster.kill(2);
      await until(
        "noticed",
        () => node(0).sync.connected().length === 1 && node(1).sync.connected().length === 1,
      );
      create(0, 7, forget ? 320 : 300);
      if (forget) await rm(cluster.store(2), { recursive: true, force: true });
      await cluster.start(2);
      await cluster.meshed();
      await cluster.equal(live);
    }
  });

  it("end sessions everywhere", async () => {
    const [record] = create(2, 1, 400);
    assert.ok(record !== undefined);
    await cluster.equal(live);
    node(1).sync.table.apply({
      id: record.id,
      end: endOf(node(1).view.get(record.id) as SessionRecord, "shutdown"),
    });
    await until("ended everywhere", () => cluster.nodes.every(({ view }) => view.endedCount === 1));
    await cluster.equal(live);
  });

  it("share the configuration: edits at any member, drains, deletions, also while an engine is down", async () => {
    const stores = () => cluster.nodes.map(({ sync }) => sync.configuration);
    const ids = () => stores().map((store) => store.services().map(({ id }) => id));
    const agree = (what: string, holds: () => boolean) =>
      until(what, () => new Set(stores().map(contentOf)).size === 1 && holds());
    for (const [member, vip] of VIPS.entries()) node(member).sync.configuration.putService(service(vip));
    const all = VIPS.map((vip) => service(vip).id);
    await agree("three services everywhere", () => ids().every((list) => list.length === 3));
    for (const list of ids()) assert.deepEqual([...list].sort(), [...all].sort());

    const drained = service(VIPS[0]);
    const [first, ...others] = drained.endpoints;
    assert.ok(first !== undefined);
    node(1).sync.configuration.putService({
      ...drained,
      endpoints: [{ ...first, state: "drain" }, ...others],
    });
    node(2).sync.configuration.setMemberDrained("m1", true);
    // Nobody replicates at member 0; a new engine has to say what the old one could not.
    await node(0).sync.crash();
    node(0).sync.configuration.deleteService(all[1] as string);
    node(0).sync.configuration.setPin(VIPS[2], "m2");
    await cluster.meshed();
    await agree("the deletion, the drains and the pin everywhere", () =>
      stores().every(
        (store) =>
          store.service(all[1] as string) === undefined &&
          store.service(all[0] as string)?.endpoints.some(({ state }) => state === "drain") === true &&
          store.drainedMembers().has("m1") &&
          store.pins().get(VIPS[2]) === "m2",
      ),
    );
  });

  it("keep everything when all of them are stopped and started again, and the journal says so", async () => {
    const content = contentOf(node(0).sync.configuration);
    await cluster.stop();
    const report = await journalReport(cluster.store(0), {
      session: [...node(0).view.values()][0]?.id ?? "",
    });
    assert.deepEqual(report.damaged, []);
    assert.equal(report.sessionCount, live);
    assert.equal(report.endedCount, 1);
    assert.ok(report.journals.length >= 3);
    assert.ok((report.session?.entries.length ?? 0) > 0);
    for (const { segments } of report.journals)
      for (const { refused } of segments) assert.equal(refused, undefined);
    await cluster.startAll();
    await cluster.equal(live);
    for (const { sync } of cluster.nodes) {
      assert.equal(contentOf(sync.configuration), content);
      assert.equal(sync.configuration.services().length, 2);
    }
  });
});

describe("a member that is killed right after a change", () => {
  it("has every change of the configuration that it said was kept", async () => {
    const cluster = await newCluster();
    try {
      let content: string | undefined;
      for (const [life, vip] of VIPS.entries()) {
        const { sync } = await cluster.start(0);
        const { configuration } = sync;
        // At once: a lone member has nobody to ask, and what it serves meanwhile is what it knows.
        if (content !== undefined) assert.equal(contentOf(configuration), content);
        configuration.putService(service(vip));
        for (const other of VIPS.slice(0, life)) configuration.deleteService(service(other).id);
        content = contentOf(configuration);
        await sync.configurationKept();
        await cluster.kill(0);
      }
      const { sync } = await cluster.start(0);
      assert.equal(contentOf(sync.configuration), content);
      assert.equal(sync.configuration.services().length, 1);
      // Nothing new: nothing to wait for.
      await sync.configurationKept();
    } finally {
      await cluster.kill(0);
      await rm(cluster.directory, { recursive: true, force: true });
    }
  });
});

describe("a member that falls behind", () => {
  let cluster: Cluster;
  afterEach(async () => {
    await cluster.stop();
    await rm(cluster.directory, { recursive: true, force: true });
  });

  it("gets what a dropped queue held from the segments", async () => {
    cluster = await newCluster();
    // Room for some segments, not for what one turn of the loop writes below.
    await cluster.startAll({
      queueBytesMax: 300_000,
      storeDirectory: undefined,
      settings: { summaryPeriodMs: 300 },
    });
    const [first] = cluster.nodes as [Node];
    for (let serial = 0; serial < 8_000; serial++) first.sync.table.apply(answered(0, serial));
    await cluster.equal(8_000);
    const drops = (await first.sync.metrics()).host?.transport.queueDrops ?? 0;
    assert.ok(drops > 0, "a queue was dropped");
  });

  it("leaves live ticks to be fetched when its view does not keep up", async () => {
    cluster = await newCluster();
    await cluster.startAll({
      storeDirectory: undefined,
      settings: { batchDeltaMax: 8, batchCountMax: 1, deliveryPauseCount: 8, deliveryCountMax: 16 },
    });
    const [first, second] = cluster.nodes as [Node, Node];
    for (let serial = 0; serial < 3_000; serial++) first.sync.table.apply(answered(0, serial));
    await until("the first have arrived, most wait", () => second.view.size > 0);
    for (let serial = 3_000; serial < 3_010; serial++)
      first.sync.table.apply(answered(0, serial), { urgent: true });
    await cluster.equal(3_010);
    assert.ok(((await second.sync.metrics()).engine?.totals["putOff"] ?? 0) > 0);
  });
});

describe("an operator's mistakes", () => {
  it("are coded errors, and leave nothing running", async () => {
    const cluster = await newCluster();
    try {
      await assert.rejects(cluster.start(0, { memberNumber: 1 }), { code: "SYNC_NUMBER_MISMATCH" });
      await assert.rejects(cluster.start(0, { memberNumber: 9 }), { code: "SYNC_NUMBER_OUT_OF_RANGE" });
      await assert.rejects(cluster.start(0, { clusterId: "beta" }), { code: "CERTIFICATE_WRONG_CLUSTER" });
      await assert.rejects(cluster.start(0, { listen: [{ host: "192.0.2.99", port: 1 }] }), {
        code: "SYNC_LISTEN_FAILED",
      });
      await assert.rejects(cluster.start(0, { storeDirectory: "/dev/null/store" }), {
        code: "STORE_DIRECTORY_UNUSABLE",
      });
    } finally {
      await rm(cluster.directory, { recursive: true, force: true });
    }
  });
});
