// What makes parts into a member: ownership made true, services handed around, verdicts shared, readiness
// observed.
import { otherCount } from "./cluster/member-list.ts";
import { AppliedServices } from "./member/applied-services.ts";
import { Observation } from "./member/observation.ts";
import { Ownership } from "./member/ownership.ts";
import type { MemberParts } from "./member/parts.ts";
import type { Judgement } from "./services/clashes.ts";
import { FileAtStart } from "./services/file-at-start.ts";
import { RemovalKeeper, tellRemoval } from "./services/removal-keeper.ts";

export type { MemberParts } from "./member/parts.ts";

/** Readiness is looked at so often. */
const OBSERVE_PERIOD_MS = 200;
/** The kernel is asked for the next hops of successors when it tells of a change, and so often. */
const ASK_HOPS_PERIOD_MS = 2_000;

export interface JoinedMember {
  /** Looks at readiness now; it is looked at on every change and every 200 ms, too. */
  observe(): void;
  /** Hands services to forwarder and coordinator anew: the configuration changed. */
  applyServices(): void;
  /** VIPs that are somebody's address, and services that break the rule. */
  clashes(): Judgement;
  close(): void;
}

/** Takes the file's services in; the data plane is not started yet when this returns. */
export function joinMember(parts: MemberParts): JoinedMember {
  const { own, members, directory, network, link, sessions, coordinator, clock, logger } = parts;
  const ownership: Ownership = new Ownership(parts, () => services.clashing.unserved);
  const services: AppliedServices = new AppliedServices(parts, () => ownership.servicesChanged());
  const file = new FileAtStart(parts);
  file.apply();
  services.apply();
  const unsubscribe = link.store.subscribe(() => services.apply());
  const keeper = new RemovalKeeper({
    store: link.store,
    sessions,
    clock,
    seesAll: () => link.caughtUp() && link.connected().length >= otherCount(members.current(), own),
    tell: (news) => tellRemoval(parts, news),
  });
  const observation = new Observation(parts);
  const observe = () => {
    observation.observe();
    ownership.observe();
  };
  const observers = [
    clock.every(OBSERVE_PERIOD_MS, () => observation.observe()),
    clock.every(ASK_HOPS_PERIOD_MS, () => ownership.observe()),
  ];
  // Who was removed hears in the next moment that it is drained no more: it must take nothing back.
  parts.readiness.onChange(observe);
  network.onChange(observe);
  link.onState(observe);
  link.onState(() => file.again());
  link.onState(() => services.tellHost());
  link.onDisconnect((number) => {
    const name = directory.nameOf(number);
    logger.info({ peer: name }, "replication link closed");
    coordinator.hint(name);
  });
  return {
    observe,
    applyServices: () => services.apply(),
    clashes: () => services.clashing,
    close() {
      for (const observer of observers) observer.cancel();
      keeper.close();
      unsubscribe();
    },
  };
}
