// Members with a real registry, session view and LoxiLB server, without a network between them: what one
// stores all have, and what one asks the others answer.

import type { MemberConfiguration } from "@holdfast/coordinator";
import { SCTP_SESSIONS, type SessionRecord, systemClock } from "@holdfast/model";
import {
  addSession,
  buildLoxilbServer,
  type ClusterLink,
  CounterExchange,
  createLocalConfigurationStore,
  createLoneLink,
  type DaemonLogger,
  Deletions,
  fakeNode,
  MemberDirectory,
  parseConfiguration,
  type RequestHandler,
} from "@holdfast/node/testing";
import type { FastifyInstance } from "fastify";

const silent: DaemonLogger = {
  trace() {},
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silent,
  setLevel() {},
};

export interface RigMember {
  readonly url: string;
  readonly node: ReturnType<typeof fakeNode>;
  readonly app: FastifyInstance;
  readonly counters: CounterExchange;
  /** What its fast path counted for each session: all zero but at m0. */
  readonly flow: { packets: number; bytes: number };
  /** Neither asks nor answers any more. */
  isDead: boolean;
}

export interface RigOptions {
  readonly members?: number;
  readonly graceMs?: number;
  readonly token?: string;
  /** Further fields of the configuration's section. */
  readonly loxilb?: Readonly<Record<string, unknown>>;
  /** Default: at once. */
  readonly kept?: () => Promise<void>;
}

export async function startRig(
  options: RigOptions = {},
): Promise<{ members: RigMember[]; grace: { ms: number }; stop(): Promise<void> }> {
  const count = options.members ?? 1;
  const store = createLocalConfigurationStore();
  const handlers: Map<string, RequestHandler>[] = Array.from({ length: count }, () => new Map());
  const { configuration } = parseConfiguration(
    JSON.stringify({
      loxilb: {
        changeGraceMs: options.graceMs ?? 200,
        ...(options.token !== undefined && { token: options.token }),
        ...options.loxilb,
      },
    }),
    "rig.yaml",
  );
  const placed: MemberConfiguration[] = Array.from({ length: count }, (_, number) => ({
    name: `m${number}`,
    number,
    addresses: [{ network: "cluster", address: `192.0.2.${number + 1}`, port: 7082 }],
  }));
  const members: RigMember[] = [];
  // Of deletions from now on: a test that relies on it must not race against it.
  const grace = { ms: configuration.loxilb.changeGraceMs };
  const keepers: { close(): void }[] = [];
  for (let self = 0; self < count; self++) {
    const node = fakeNode([], store, `m${self}`);
    const link: ClusterLink = {
      ...createLoneLink(),
      table: node.view,
      sessions: node.sources.sessions,
      store,
      connected: () =>
        placed
          .map(({ number }) => number)
          .filter((number) => number !== self && members[number]?.isDead !== true),
      request: async (member, topic, body) => {
        const isDead = members[member]?.isDead === true || members[self]?.isDead === true;
        return isDead ? undefined : handlers[member]?.get(topic)?.(self, body);
      },
      onRequest: (topic, handler) => {
        handlers[self]?.set(topic, handler);
      },
    };
    const directory = new MemberDirectory(() => placed, { name: `m${self}`, number: self, zone: "" });
    const flow = self === 0 ? { packets: 21, bytes: 2100 } : { packets: 0, bytes: 0 };
    const counters = new CounterExchange(
      link,
      {
        countersOf: (record) =>
          flow.packets === 0
            ? []
            : [...SCTP_SESSIONS.clientsOf(record as SessionRecord).keys()].map((client) => ({
                member: `m${self}`,
                vip: "123.123.123.1",
                client,
                up: { ...flow, lastSeenMsAgo: 5 },
                down: { ...flow, lastSeenMsAgo: 5 },
              })),
      },
      directory,
      systemClock,
    );
    const deletions = new Deletions({
      registry: node.registry,
      logger: silent,
      graceMs: () => grace.ms,
    });
    const app = buildLoxilbServer(
      {
        sources: {
          ...node.sources,
          members: async () =>
            placed.map(({ name, number }) => ({
              name,
              number,
              zone: "",
              self: number === self,
              phase: members[number]?.isDead === true ? "dead" : "alive",
              ready: true,
              draining: false,
              addresses: [],
              vips: [],
              sessions: 0,
            })),
          ...(options.kept !== undefined && { configurationKept: options.kept }),
        },
        link,
        counters,
        deletions,
        logger: silent,
        configuration: () => configuration,
      },
      { events: () => new Map([["inits", 3]]), drops: () => new Map([["malformed", 2]]) },
    );
    keepers.push(node.keeper);
    const url = await app.listen({ host: "127.0.0.1", port: 0 });
    members.push({ url, node, app, counters, flow, isDead: false });
  }
  return {
    members,
    grace,
    async stop() {
      for (const { counters } of members) counters.close();
      for (const keeper of keepers) keeper.close();
      await Promise.all(members.map(({ app }) => app.close()));
    },
  };
}

export { addSession };
