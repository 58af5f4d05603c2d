// The others: certificates, replication, the list of members and their addresses.
import { CertificateKeeper } from "../cluster/certificates.ts";
import { followWithLinks } from "../cluster/follow-members.ts";
import { joinAddresses } from "../cluster/join-addresses.ts";
import type { ClusterLink } from "../cluster/link.ts";
import { MemberAddresses } from "../cluster/member-addresses.ts";
import { openNews } from "../cluster/news.ts";
import { openLink } from "../cluster/open-link.ts";
import { watchOwnAddresses } from "../cluster/own-addresses.ts";
import { limitsOf } from "../data-plane/limits.ts";
import { MembersKeeper } from "../members/keeper.ts";
import type { StageContext } from "./context.ts";
import type { MachineStage } from "./machine.ts";

export type ClusterStage = Awaited<ReturnType<typeof openCluster>>;

export async function openCluster(context: StageContext, machine: MachineStage) {
  const { own, clock, logger, closers } = context;
  const { events, network, members, directory } = machine;
  const configuration = context.configuration();
  const join = joinAddresses(configuration);
  const certificates =
    configuration.cluster.certificates === undefined
      ? undefined
      : new CertificateKeeper({ configuration, own, clock, logger });
  const tls = await certificates?.load();
  const link: ClusterLink = await openLink({
    ...{ configuration, own, members, join, network, tls, clock, logger },
  });
  let keeper: MembersKeeper | undefined;
  const standing = () => keeper ?? { isMember: join.length === 0, join };
  const following = followWithLinks(members, link, clock, standing);
  closers.add(
    () => link.stop(),
    () => following.close(),
  );
  const opened = keeperOf(context, machine, link, () => following.tell());
  keeper = opened;
  // What the disk says of the list was told before there was a keeper.
  following.tell();
  closers.add(() => opened.close());
  const { readiness } = machine;
  closers.add(watchOwnAddresses({ own, members, network, readiness, isJoining: !opened.isMember }));
  const addresses = new MemberAddresses({ self: own.name, network, link, directory, members, clock });
  closers.add(() => addresses.close());
  link.onFailed(context.onFatal);
  const news = openNews(own, link, clock, events);
  closers.add(() => news.close());
  return { link, keeper: opened, addresses, news, certificates, keys: watchCertificates() };

  /** This member's own certificate, as it is now; whoever holds links and probes with it follows. */
  function watchCertificates() {
    let now = tls;
    const followers: ((next: NonNullable<typeof tls>) => void)[] = [(next) => link.setTls(next)];
    certificates?.watch(
      (next) => {
        // Replication is the first, and refuses what TLS would not take: then everybody keeps the old one.
        for (const follow of followers) follow(next);
        now = next;
      },
      ({ ok, detail }) => machine.readiness.advise("certificate", ok, detail),
    );
    closers.add(() => certificates?.close());
    return {
      current: () => now,
      follow: (follower: (next: NonNullable<typeof tls>) => void) => void followers.push(follower),
    };
  }
}

function keeperOf(
  context: StageContext,
  { members, events, readiness }: MachineStage,
  link: ClusterLink,
  stood: () => void,
) {
  const { own, clock, logger } = context;
  const configuration = context.configuration();
  return new MembersKeeper({
    own,
    book: members,
    link,
    join: joinAddresses(configuration),
    admitsCertified: configuration.cluster.admit === "certificate",
    ports: {
      probePort: configuration.coordinator.probePort,
      replicationPort: configuration.replication.port,
    },
    settleMs: limitsOf(configuration).initTimeoutMs,
    clock,
    logger,
    events,
    onStanding: (isMember, detail) => {
      readiness.set("membership", isMember, detail);
      stood();
    },
  });
}
