// Who owns which VIP: the coordinator, its secrets and revocations, and what is counted of take-overs.
import { randomBytes } from "node:crypto";
import { type Coordinator, startCoordinator } from "@holdfast/coordinator";
import { isRevoked } from "@holdfast/sync";
import { CERTIFICATE_LOOK_PERIOD_MS } from "../cluster/certificates.ts";
import { CounterExchange } from "../cluster/counters.ts";
import { followWithProbes } from "../cluster/follow-members.ts";
import { watchTakeOvers } from "../cluster/news.ts";
import { OwnRevocation } from "../cluster/own-revocation.ts";
import { credentialsOf } from "../cluster/probe-credentials.ts";
import { Revocations } from "../cluster/revocations.ts";
import { readSecrets, SecretWatch } from "../cluster/secret.ts";
import { clusterNetworks } from "../cluster/topology.ts";
import { MAIN_SILENT_MAX_MS } from "../config/check.ts";
import { limitsOf } from "../data-plane/limits.ts";
import { NumberRest, numberRestMs } from "../members/number-rest.ts";
import type { ClusterStage } from "./cluster.ts";
import type { StageContext } from "./context.ts";
import type { ForwardingStage } from "./forwarding.ts";
import type { MachineStage } from "./machine.ts";

export type CoordinationStage = Awaited<ReturnType<typeof openCoordination>>;

export async function openCoordination(
  context: StageContext,
  machine: MachineStage,
  cluster: ClusterStage,
  forwarding: ForwardingStage,
) {
  const { own, clock, logger, closers } = context;
  const { members, placed, directory } = machine;
  const { link, news } = cluster;
  const { registry, catalogue, dataPlane } = forwarding;
  const secrets = readSecrets(context.configuration());
  const coordinator = await coordinatorOf(context, machine, cluster, forwarding, secrets);
  let left = false;
  const { configuration } = context;
  const secretWatch = new SecretWatch(
    { configuration, apply: (next) => coordinator.setSecrets(next), logger },
    secrets,
  );
  const secretLook = clock.every(CERTIFICATE_LOOK_PERIOD_MS, () => secretWatch.look());
  closers.add(() => secretLook.cancel(), followWithProbes(members, placed, coordinator, logger));
  const revocations = followRevocations(context, machine, cluster, coordinator);
  closers.add(() => (left ? undefined : coordinator.close()));
  const rest = new NumberRest({
    list: () => members.current(),
    tables: link.sessions.all,
    memberNumberCount: configuration().cluster.memberNumberCount,
    restMs: numberRestMs(limitsOf(configuration())),
    slot: (number) => dataPlane.portBooks.slot(number),
    clock,
  });
  closers.add(() => rest.close());
  const counters = new CounterExchange(link, dataPlane, directory, clock);
  closers.add(() => counters.close());
  const takeOvers = watchTakeOvers({
    ...{ self: own.name, news, coordinator, link, registry, catalogue, dataPlane, clock },
  });
  closers.add(() => takeOvers.close());
  /** Once everything is handed over; nothing is left to be closed then. */
  const leave = () => {
    left = true;
    return coordinator.leave();
  };
  return { coordinator, secretWatch, revocations, rest, counters, takeOvers, leave };
}

async function coordinatorOf(
  context: StageContext,
  { placed, topology }: MachineStage,
  { keys }: ClusterStage,
  { dataPlane }: ForwardingStage,
  secrets: readonly string[],
): Promise<Coordinator> {
  const { own, clock, logger, onFatal } = context;
  const { coordinator: settings, cluster } = context.configuration();
  const tls = keys.current();
  const coordinator = await startCoordinator({
    self: own.name,
    members: placed(),
    secret: secrets[0] ?? randomBytes(32),
    otherSecrets: secrets.slice(1),
    minimumMembers: settings.minimumMembers,
    clusterNetworks: clusterNetworks(topology.interfaces),
    timing: {
      probeIntervalMs: settings.probeIntervalMs,
      missedProbesMax: settings.missedCountMax,
      mainSilentMaxMs: MAIN_SILENT_MAX_MS,
    },
    clock,
    logger,
    ...(dataPlane.signOfLife !== undefined && { signOfLife: dataPlane.signOfLife }),
    ...(tls !== undefined && { credentials: credentialsOf({ ...tls, clusterId: cluster.id }) }),
    onFatal,
  });
  const take = (next: NonNullable<typeof tls>) =>
    coordinator.setCredentials({ ...next, clusterId: cluster.id });
  keys.follow(take);
  // It may have changed while the coordinator started.
  const now = keys.current();
  if (now !== undefined && now !== tls) take(now);
  return coordinator;
}

/** Certificates that are not believed, by links and probes alike. */
function followRevocations(
  { own, clock, closers }: StageContext,
  { members, readiness }: MachineStage,
  { link, keys }: ClusterStage,
  coordinator: Coordinator,
): Revocations {
  const revocations = new Revocations(link.store, clock);
  const listed = () => members.current().members;
  const ownRevocation = new OwnRevocation({
    others: () => listed().flatMap(({ name }) => (name === own.name ? [] : [name])),
    told: (ok, detail) => readiness.set("certificate-revoked", ok, detail),
  });
  link.onRevoked((by) => ownRevocation.refusedBy(by));
  link.onConnect((number) => {
    const name = listed().find((member) => member.number === number)?.name;
    if (name !== undefined) ownRevocation.believedBy(name);
  });
  closers.add(
    revocations.follow((entries) => {
      link.setRevoked(entries);
      coordinator.setRevoked(entries);
      const tls = keys.current();
      ownRevocation.setListed(tls !== undefined && isRevoked(tls.certificatePem, entries));
    }),
  );
  return revocations;
}
