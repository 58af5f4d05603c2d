// Real stacks behind several endpoints, small and quick: what tests of endpoints that come and go share.
import {
  type ClientOptions,
  Cluster,
  type ClusterOptions,
  monotonicMs,
  type Peer,
  type PeerEvent,
  until,
  withLogs,
} from "@holdfast/testkit";
import { downVerdictAtMs, healthyAt } from "./verdicts.ts";

/** Changes of an association that its application sees. */
const NOTICED: ReadonlySet<string> = new Set(["lost", "restart", "cannotStart", "up", "shutdown"]);

/** Probes quick enough for a test: silence is "down" after half a second. */
export const QUICK_PROBES = { health: { intervalMs: 250, timeoutMs: 200, downCount: 2, upCount: 1 } };

export interface EndpointSceneOptions extends ClusterOptions {
  /** Of each client host. */
  readonly associations: number;
  /** Of clients and endpoints, beside what a scene sets itself. */
  readonly peers?: Partial<ClientOptions>;
}

/** What the restart of an endpoint was for the associations that it carried. */
export interface Restart {
  readonly carried: ReadonlySet<number>;
  /** By association: from the first member's verdict to its client's notice, ms. */
  readonly toldMs: readonly number[];
}

export interface SessionItem {
  readonly id: string;
  readonly phase: string;
  readonly endpoint?: string;
  readonly clientPort: number;
  readonly clients: readonly string[];
}

export class EndpointScene {
  readonly cluster: Cluster;
  readonly servers: Peer[] = [];
  readonly clients: Peer[] = [];
  readonly #marks = new Map<Peer, number>();
  readonly #peers: Partial<ClientOptions>;

  private constructor(options: EndpointSceneOptions) {
    this.#peers = options.peers ?? {};
    this.cluster = new Cluster({ configuration: QUICK_PROBES, withService: false, ...options });
  }

  /** Runs `story`; the members' logs go with whatever it throws. */
  static async play(
    options: EndpointSceneOptions,
    story: (scene: EndpointScene) => Promise<void>,
  ): Promise<void> {
    const scene = new EndpointScene(options);
    const { cluster } = scene;
    try {
      await cluster.start();
      // Through the API: what comes from a file is changed there only.
      const made = await cluster.members[0]?.fetch("POST", "/v1/services", cluster.serviceSpec());
      if (made?.status !== 201) throw new Error(`the service was refused: ${made?.status} ${made?.body}`);
      for (const index of cluster.endpoints.keys())
        scene.servers.push(await cluster.startEndpoint(index, { echo: true, ...options.peers }));
      await scene.healthy(cluster.endpoints.length);
      await cluster.settled();
      for (const index of cluster.clients.keys()) {
        scene.clients.push(
          await cluster.startClient(index, {
            rate: 10,
            size: 200,
            associations: options.associations,
            reconnect: true,
            ...options.peers,
          }),
        );
      }
      await Promise.all(scene.clients.map((client) => client.established(options.associations, 60_000)));
      scene.mark();
      await story(scene);
    } catch (error) {
      throw withLogs(error, cluster.members);
    } finally {
      await cluster.close();
    }
  }

  /** So many endpoints are healthy, as every running member says. */
  async healthy(count: number): Promise<void> {
    await until(`${count} healthy endpoints`, () =>
      this.cluster.members
        .filter((member) => member.running)
        .every((member) => healthyAt(member, this.cluster.endpoints).length === count),
    );
  }

  /** From here on `noticed` counts. */
  mark(): void {
    for (const client of this.clients) this.#marks.set(client, client.events.length);
  }

  /** What applications of clients saw since the mark. */
  events(): PeerEvent[] {
    return this.clients.flatMap((client) => client.events.slice(this.#marks.get(client) ?? 0));
  }

  /** Ids of associations that noticed something since the mark: all, or one kind of event. */
  noticed(event?: string): Set<number> {
    return new Set(
      this.events().flatMap((e) =>
        e.id !== undefined && (event === undefined ? NOTICED.has(e.event) : e.event === event) ? [e.id] : [],
      ),
    );
  }

  /** Senders that a server has heard, by their ids. */
  async carriedBy(server: Peer): Promise<Set<number>> {
    return new Set((await server.receipts()).map(({ client }) => client));
  }

  async sessions(): Promise<SessionItem[]> {
    const member = this.cluster.members.find((m) => m.running);
    const { items } = (await member?.get<{ items: SessionItem[] }>("/v1/sessions?limit=1000")) ?? {
      items: [],
    };
    return items.filter(({ phase }) => phase === "established");
  }

  /** Every living association delivers `count` more messages. */
  async flowing(count = 5): Promise<void> {
    const echoes = async () =>
      new Map(
        (await Promise.all(this.clients.map((client) => client.associations())))
          .flat()
          .map((a) => [a.id, a.echoes] as const),
      );
    const before = await echoes();
    await until(`${count} more echoes of every association`, async () => {
      const now = await echoes();
      return [...before].every(([id, n]) => (now.get(id) ?? 0) >= n + count);
    });
  }

  /** Every one of these is up again, after it was told. */
  async back(ids: ReadonlySet<number>): Promise<void> {
    await until("every association to be told and to return", () => {
      const [lost, up] = [this.noticed("lost"), this.noticed("up")];
      return [...ids].every((id) => lost.has(id) && up.has(id));
    });
  }

  /**
   * Kills the server of an endpoint, waits until everybody whom it carried was told and is back elsewhere,
   * and starts it again. Marks first: whoever noticed anything has noticed it since.
   */
  async restart(index: number): Promise<Restart> {
    const victim = this.servers[index] as Peer;
    const carried = await this.carriedBy(victim);
    this.mark();
    const killedAtMs = monotonicMs();
    await victim.kill();
    await this.back(carried);
    const verdictAtMs = await until("a verdict", () =>
      downVerdictAtMs(this.cluster.members, victim.host, killedAtMs),
    );
    const told = new Map<number, number>();
    for (const { event, id, atMs } of this.events())
      if (event === "lost" && id !== undefined && !told.has(id)) told.set(id, atMs as number);
    this.servers[index] = await this.cluster.startEndpoint(index, { echo: true, ...this.#peers });
    await this.healthy(this.cluster.endpoints.length);
    return { carried, toldMs: [...carried].map((id) => (told.get(id) as number) - verdictAtMs) };
  }
}
