// A cluster with real stacks that send numbered messages, captured at every edge; and what must hold when it
// ends, whatever was done to the members meanwhile.
import assert from "node:assert/strict";
import type { Address } from "@holdfast/model";
import {
  brief,
  type Capture,
  type CapturedPacket,
  Cluster,
  type ClusterOptions,
  leaksOf,
  type Member,
  ownAbortsOf,
  PATH_NETWORKS,
  type Peer,
  startCapture,
  swallowedOf,
  until,
  withLogs,
  wrongChecksumsOf,
} from "@holdfast/testkit";

export interface SceneOptions extends ClusterOptions {
  /** Messages per second and association; 50 by default. */
  readonly rate?: number;
  /** Associations of each client host, one by default. */
  readonly associations?: number;
  /** New associations per second of each client host; all at once by default. */
  readonly startRate?: number;
  /** tcpdump's filter at the edges; all of SCTP and ICMP by default. */
  readonly capture?: string;
  /** Failures in a row until a stack gives its association up; the stack's own default (10) by default. */
  readonly assocMaxRetrans?: number;
  /** Before the members start, and before the clients do. */
  readonly beforeStart?: (cluster: Cluster) => void;
  readonly beforeClients?: (cluster: Cluster) => Promise<void>;
  /** Client hosts without a stack, by index: for scripted clients. */
  readonly withoutStack?: readonly number[];
}

/** ICMP too: an error that quotes a packet may quote addresses. */
const EVERYTHING = "sctp or icmp or icmp6";
const CHUNK_INIT = 1;

export interface SessionSummary {
  readonly id: string;
  readonly phase: string;
  readonly clientPort: number;
  readonly clients: readonly string[];
  readonly endpoint?: string;
  readonly natPort?: number;
}

export interface Allowed {
  /** Association ids whose client was killed and started again. */
  readonly restarted?: readonly number[];
}

export class Scene {
  readonly cluster: Cluster;
  readonly options: SceneOptions;
  readonly servers: Peer[] = [];
  readonly clients: Peer[] = [];
  readonly atClients: Capture[] = [];
  readonly atEndpoints: Capture[] = [];

  private constructor(options: SceneOptions) {
    this.options = options;
    this.cluster = new Cluster(options);
  }

  /** Runs `story` on a scene of its own; the members' logs go with whatever it throws. */
  static async play(options: SceneOptions, story: (scene: Scene) => Promise<void>): Promise<void> {
    const scene = new Scene(options);
    try {
      await scene.#open();
      await story(scene);
    } catch (error) {
      throw withLogs(error, scene.cluster.members);
    } finally {
      await scene.cluster.close();
    }
  }

  async #open(): Promise<void> {
    const { cluster, options } = this;
    const filter = options.capture ?? EVERYTHING;
    const capturesOf = (host: Cluster["clients"][number], networks: readonly string[]) =>
      networks
        .filter((network) => host.addresses(network).length > 0)
        .map((network) => startCapture(cluster.lab, host, network, filter));
    options.beforeStart?.(cluster);
    const started = cluster.start();
    // An `await` below may fail first; nobody listens to `started` then.
    started.catch(() => {});
    const timers = options.assocMaxRetrans === undefined ? {} : { assocMaxRetrans: options.assocMaxRetrans };
    for (const index of cluster.endpoints.keys()) {
      this.servers.push(await cluster.startEndpoint(index, { echo: false, ...timers }));
    }
    this.atEndpoints.push(
      ...(await Promise.all(cluster.endpoints.flatMap((host) => capturesOf(host, ["core"])))),
    );
    this.atClients.push(
      ...(await Promise.all(cluster.clients.flatMap((host) => capturesOf(host, PATH_NETWORKS)))),
    );
    await started;
    await options.beforeClients?.(cluster);
    const withStack = [...cluster.clients.keys()].filter((i) => options.withoutStack?.includes(i) !== true);
    const associations = options.associations ?? 1;
    const pace = options.startRate === undefined ? {} : { startRate: options.startRate };
    for (const index of withStack) {
      this.clients.push(
        await cluster.startClient(index, {
          rate: options.rate ?? 50,
          size: 200,
          associations,
          ...timers,
          ...pace,
        }),
      );
    }
    await Promise.all(this.clients.map((client) => client.established(associations, 60_000)));
  }

  /** Every stack has all paths confirmed. */
  async confirmed(): Promise<void> {
    const count = this.cluster.vips.length;
    await until("every path to be confirmed on both sides", async () => {
      const sides = await Promise.all([...this.clients, ...this.servers].map((peer) => peer.paths()));
      return sides.every(
        (paths) =>
          paths.size > 0 &&
          [...paths.values()].every(
            (list) => list.length === count && list.every((path) => path.state === "active"),
          ),
      );
    });
  }

  /** So many more messages arrive from every living sender. */
  async flowing(count = 25, limitMs = 20_000): Promise<void> {
    const received = async () => {
      const receipts = (await Promise.all(this.servers.map((server) => server.receipts()))).flat();
      const sums = new Map<number, number>();
      for (const r of receipts) sums.set(r.client, (sums.get(r.client) ?? 0) + r.received);
      return sums;
    };
    const living = (await Promise.all(this.clients.map((client) => client.associations()))).flat();
    const before = await received();
    let late: number[] = [];
    await until(
      `${count} more messages of every association`,
      async () => {
        const now = await received();
        late = living.filter(({ id }) => (now.get(id) ?? 0) < (before.get(id) ?? 0) + count).map((a) => a.id);
        return late.length === 0;
      },
      limitMs,
      // The answer has a line for each association: a thousand of them are not to be asked for twenty times a
      // second.
      Math.max(50, living.length / 2),
    ).catch((error: unknown) => {
      throw new Error(`${(error as Error).message}: none from ${late.join(", ")}`);
    });
  }

  async sessions(member = this.anyMember()): Promise<SessionSummary[]> {
    const { items } = await member.get<{ items: SessionSummary[] }>("/v1/sessions?limit=1000");
    return items.filter(({ phase }) => phase !== "closed");
  }

  anyMember(): Member {
    return this.cluster.members.find((member) => member.running) as Member;
  }

  /** The member that announces a VIP, the primary by default. */
  async ownerOf(vip = this.cluster.vips[0] as Address): Promise<Member> {
    const owner = (await this.cluster.settled()).get(vip);
    return this.cluster.memberOf(owner as string);
  }

  /** A VIP's owner changes to somebody else, as everybody who runs sees it. */
  async moved(vip: string, from: Member): Promise<Map<string, string>> {
    return until(`${vip} to leave ${from.name}`, async () => {
      const owners = await this.cluster.settled();
      return owners.get(vip) !== from.name && owners;
    });
  }

  /** DATA that left one edge in a time and reached no other edge, though its way had been used before. */
  swallowed(fromMs: number, toMs: number): CapturedPacket[] {
    const packets = [...this.atClients, ...this.atEndpoints].flatMap((capture) => capture.packets());
    return swallowedOf(packets, this.cluster.vips, fromMs, toMs);
  }

  /** Stops the numbers, and asserts that nothing was lost, nothing leaked, and no member spoke for itself. */
  async judge(allowed: Allowed = {}): Promise<void> {
    const restarted = new Set(allowed.restarted);
    for (const member of this.cluster.members) assert.ok(!member.crashed, `${member.name} ended by itself`);
    const figures = (await Promise.all(this.clients.map((client) => client.settle()))).flat();
    const received = new Map<number, number>();
    for (const server of this.servers.filter((s) => s.running)) {
      for (const r of await server.receipts()) {
        received.set(r.client, (received.get(r.client) ?? 0) + r.received);
        assert.equal(r.corrupt + (restarted.has(r.client) ? 0 : r.duplicates), 0, JSON.stringify(r));
      }
      const { restarts } = await server.serverFigures();
      assert.equal(restarts, restarted.size, "restarts that an endpoint saw");
    }
    for (const figure of figures) {
      const about = `association ${figure.id}: ${JSON.stringify(figure)}`;
      assert.ok(figure.up, `${about} is not up`);
      assert.equal(figure.ups, 1, about);
      assert.equal(figure.lost + figure.restarts + figure.cannotStart + figure.retries, 0, about);
      assert.ok(figure.sent > 0, `${about} sent nothing`);
      if (!restarted.has(figure.id))
        assert.equal(received.get(figure.id), figure.sent, `${about}: messages lost`);
    }
    await this.#judgeCaptures(figures.length + restarted.size);
  }

  async #judgeCaptures(handshakes: number): Promise<void> {
    const { clients, endpoints, vips } = this.cluster;
    for (const capture of [...this.atClients, ...this.atEndpoints]) await capture.stop();
    const atClients = this.atClients.flatMap((capture) => capture.packets());
    const atEndpoints = this.atEndpoints.flatMap((capture) => capture.packets());
    const clientAddresses = clients.flatMap((_, index) => this.cluster.clientAddresses(index));
    const endpointAddresses = endpoints.flatMap((host) => host.addresses("core"));
    const none = (packets: readonly CapturedPacket[], what: string) =>
      assert.deepEqual(packets.slice(0, 20).map(brief), [], `${packets.length} × ${what}`);
    none(leaksOf(atEndpoints, clientAddresses), "a client's address at an endpoint");
    none(leaksOf(atClients, endpointAddresses), "an endpoint's address at a client");
    const fromVips = [...atClients, ...atEndpoints].filter(({ source }) => vips.includes(source));
    none(wrongChecksumsOf(fromVips), "a wrong checksum");
    none(ownAbortsOf([...atClients, ...atEndpoints], vips), "an ABORT of Holdfast's own");
    const tags = new Set(
      atClients.flatMap(({ sctp, source }) =>
        (sctp?.chunks ?? [])
          .filter(({ type }) => type === CHUNK_INIT)
          .map(({ bytes }) => `${source} ${Buffer.from(bytes.subarray(4, 8)).toString("hex")}`),
      ),
    );
    const expected = handshakes + (this.options.withoutStack === undefined ? 0 : tags.size);
    assert.ok(tags.size <= expected, `${tags.size} associations were begun for ${handshakes}`);
  }

  logs(): string {
    return this.cluster.members
      .map((member) => `--- ${member.name}\n${member.log().slice(-2500)}`)
      .join("\n");
  }
}
