// Alone, or replicated: as the configuration says. A member alone with a store is replicated to its own disk.
import { type Clock, type Logger, type Members, parseAddress, type SessionId } from "@holdfast/model";
import { type JoinAddress, type MemberTls, type Sync, startSync } from "@holdfast/sync";
import { addressOf, type OwnMember } from "../config/check.ts";
import type { Configuration } from "../config/schema.ts";
import type { NetworkWatch } from "../network/watch.ts";
import { PublishingView } from "../sessions/publishing-view.ts";
import { SessionTables } from "../sessions/tables.ts";
import { type ClusterLink, createLoneLink } from "./link.ts";
import { linkedMembers } from "./member-list.ts";

export interface LinkOptions {
  readonly configuration: Configuration;
  readonly own: OwnMember;
  readonly members: Members;
  /** Not empty: the list is not known, these members know it. */
  readonly join: readonly JoinAddress[];
  readonly network: NetworkWatch;
  /** undefined: this member is alone. */
  readonly tls: MemberTls | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

export async function openLink(options: LinkOptions): Promise<ClusterLink> {
  const { configuration, own, members, clock, logger } = options;
  const isAlone = options.tls === undefined;
  if (isAlone && configuration.store.directory === "") return createLoneLink();
  const { replication, cluster } = configuration;
  const view = new PublishingView();
  const sync = await startSync({
    memberName: own.name,
    memberNumber: own.number,
    memberNumberCount: cluster.memberNumberCount,
    clusterId: cluster.id,
    listen: isAlone ? [] : listenOn(options),
    members: linkedMembers(members.current().members),
    join: options.join,
    tls: options.tls ?? "plain",
    storeDirectory: configuration.store.directory === "" ? undefined : configuration.store.directory,
    release: replication.release,
    settings: { releaseLimitMs: replication.releaseTimeoutMs },
    clock,
    logger,
    view,
    furtherViews: [view.plain],
  });
  return replicatedLink(sync, view, members);
}

/** This member's listed addresses, or every address of the machine. */
function listenOn({ configuration, own, network }: LinkOptions) {
  const { replication } = configuration;
  const listed = configuration.members.find((member) => member.name === own.name);
  const port = listed?.replicationPort ?? replication.port;
  if (replication.listen !== undefined) {
    const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(replication.listen);
    const host = match?.[1] ?? match?.[2];
    if (host !== undefined) return [{ host: parseAddress(host), port: Number(match?.[3]) }];
  }
  const addresses =
    listed?.addresses.map(addressOf).map(parseAddress) ??
    [...network.interfaces().values()].flatMap((found) => found.addresses.map(({ address }) => address));
  return addresses.map((host) => ({ host, port }));
}

/** Replication as the daemon sees it. */
export function replicatedLink(sync: Sync, view: PublishingView, members: Members): ClusterLink {
  const nameOf = (number: number) =>
    members.current().members.find((member) => member.number === number)?.name;
  return {
    ...{ table: sync.table, plain: view.plain },
    sessions: new SessionTables([sync.table, view.plain], () => sync.foreignSessions()),
    replication: sync.replication,
    store: sync.configuration,
    storeKept: () => sync.configurationKept(),
    disk: () => sync.store(),
    setTls: (tls) => sync.setTls(tls),
    setRevoked: (list) => sync.setRevoked(list),
    setMembers: (listing) => sync.setMembers(listing),
    onExcluded: (listener) => void sync.on("excluded", listener),
    onRevoked: (listener) => void sync.on("revoked", listener),
    onApplied: (listener) => void sync.on("applied", listener),
    answers: () => sync.answers(),
    onFailed: (listener) => {
      sync.on("failed", listener);
    },
    caughtUp: () => sync.ready(),
    mayAllocate: () => sync.mayAllocate(),
    onState: (listener) => {
      sync.on("state", listener);
    },
    beforeAnswer: (action) => {
      view.beforeAnswer = action;
    },
    onConnect: (listener) => {
      sync.on("connected", listener);
    },
    onDisconnect: (listener) => {
      sync.on("disconnected", listener);
    },
    connected: () => sync.connected(),
    capabilitiesOf: (number) => sync.members().find((member) => member.number === number)?.capabilities,
    offered: () => sync.offered(),
    setOwners: (service, owners) => sync.setOwners(service, owners),
    async metrics() {
      const { engine, host, restartCount } = await sync.metrics();
      const totals: Record<string, number> = { restarts: restartCount };
      for (const [name, value] of Object.entries(engine?.totals ?? {})) totals[name] = value;
      for (const [name, value] of Object.entries(host ?? {}))
        if (typeof value === "number") totals[`host.${name}`] = value;
      for (const [name, value] of Object.entries(host?.store ?? {})) totals[`store.${name}`] = value;
      return {
        totals,
        peers: sync.members().map((member) => ({
          member: nameOf(member.number) ?? member.name,
          connected: member.connected,
          lagMs: member.lagMs,
          queuedBytes: member.queuedBytes,
          ...(member.capabilities !== undefined && { capabilities: member.capabilities }),
        })),
        offered: sync.offered(),
        lagHistogram: engine?.lagHistogram ?? { boundsMs: [], counts: [] },
      };
    },
    async replicasOf(id: SessionId) {
      const lag = new Map(sync.members().map((member) => [member.number, member.lagMs]));
      return [...(await sync.replicationState(id))].map(([member, state]) => {
        const lagMs = lag.get(member);
        return { member, state, ...(lagMs !== undefined && state !== "unknown" && { lagMs }) };
      });
    },
    request: (member, topic, body) => sync.request(member, topic, body),
    onRequest: (topic, handler) => sync.onRequest(topic, handler),
    stop: () => sync.stop(),
  };
}
