// The state of membership, as one member has it. Only step.ts and what it calls change it.
import type { Address, MemberName } from "@holdfast/model";
import { type MemberConfiguration, networkIdOf, type Timing } from "../configuration.ts";
import type { ClusterView, MemberPhase, MemberView } from "../view.ts";
import type { AdvertisedState, Claim, Message, Refusal } from "../wire/message.ts";

/** Witnesses that are asked about silent members in one round. */
export const WITNESS_COUNT_MAX = 8;
/** Outstanding asks whose answers are still worth something; the oldest is forgotten. */
export const ASK_COUNT_MAX = 64;
/** A dead or unknown member is probed every so many intervals: only so that it can come back. */
export const DEAD_PROBE_DIVISOR = 4;

/** One network as it joins us and one other member. */
export interface Link {
  /** Highest sequence that arrived over it. */
  sequence: number;
  heardAtMs: number;
  /** When the member last said that it hears us over it. */
  hearsUsAtMs: number;
}

export interface Peer {
  /** Where it is reached may change; its name and number do not. */
  configuration: MemberConfiguration;
  phase: MemberPhase;
  phaseSinceMs: number;
  incarnation: number;
  /** What we echo to it. */
  boot: number;
  sequence: number;
  /** Heard by ourselves. */
  lastHeardAtMs: number;
  /** Heard by ourselves or by a witness, on our clock, rounded down. Death counts from here. */
  evidenceAtMs: number;
  /** When its replication link closed, until it is heard again. */
  hintedAtMs: number | undefined;
  /** When it was called last, and the others were asked about it. */
  calledAtMs: number;
  /** Calls since it was last heard. */
  callCount: number;
  /** Enough calls went unanswered by then; until it is heard again. */
  unansweredAtMs: number | undefined;
  /** By how much its probes come too late at the worst; forgotten slowly. */
  lateMs: number;
  repliedAtMs: number;
  state: AdvertisedState | undefined;
  stateVersion: number;
  /** Its last word on us was that we live; forgotten when we were frozen. */
  supportsUs: boolean;
  /** Version of our own state that it holds. */
  stateVersionAcked: number;
  readonly links: Map<number, Link>;
}

/** What the daemon says of this member. */
export interface LocalFacts {
  readonly ready: boolean;
  readonly caughtUp: boolean;
  readonly draining: boolean;
  readonly mainAlive: boolean;
  /** By network name; a network that is not listed has carrier and no router. */
  readonly networks: ReadonlyMap<string, { readonly carrier: boolean; readonly routerHeard: boolean }>;
  readonly claims: readonly Claim[];
  /** With the claims at most CLAIM_AND_UNSERVED_COUNT_MAX are told. */
  readonly unserved: readonly Address[];
}

export interface Membership {
  readonly self: MemberConfiguration;
  readonly timing: Timing;
  readonly boot: number;
  /** Names of the networks on which we have an address, by wire id. */
  readonly networkNames: ReadonlyMap<number, string>;
  readonly peers: Map<number, Peer>;
  incarnation: number;
  sequence: number;
  facts: LocalFacts;
  /** When the daemon last said something of the networks. */
  networkFactsAtMs: number;
  /** By wire id of a network: when a member was last heard there. */
  readonly membersHeardAtMs: Map<number, number>;
  /** Names of networks on which no member is heard. */
  unheardNetworks: readonly string[];
  advertised: AdvertisedState;
  stateVersion: number;
  /** The advertised state has changed and was not sent yet. */
  dirty: boolean;
  leaving: boolean;
  startedAtMs: number;
  /** The one that it started with. */
  readonly firstIncarnation: number;
  tickedAtMs: number;
  /** By how much our own rounds come too late at the worst; forgotten slowly. */
  lateMs: number;
  probeAtMs: number;
  probeRound: number;
  settlingUntilMs: number;
  /** How long the next settling takes. */
  settleForMs: number;
  /**
   * false: what happened around us is not known yet (just started, or frozen for longer than a death takes),
   * and nothing may be announced that was not before.
   */
  confirmed: boolean;
  /** A probe that echoes this sequence or a later one proves that its sender knows we are back. */
  confirmSequence: number;
  nonce: number;
  readonly asks: Map<number, number>;
}

export type MembershipEvent =
  | { readonly kind: "tick" }
  | { readonly kind: "message"; readonly message: Message; readonly network: number }
  /** The replication link to a member closed: look closer. */
  | { readonly kind: "hint"; readonly member: number }
  | { readonly kind: "facts"; readonly facts: Partial<LocalFacts> }
  /** A key was agreed with a member: what is said to it now, it can read. */
  | { readonly kind: "keyed"; readonly member: number }
  /** All members from now on, this one included. */
  | { readonly kind: "members"; readonly members: readonly MemberConfiguration[] }
  | { readonly kind: "leave" };

export type MembershipEffect =
  /** Send over every network that joins us. */
  | { readonly kind: "send"; readonly message: Message }
  /** `silentMs`: since the member was last heard by anybody we could ask. */
  | {
      readonly kind: "phase";
      readonly member: MemberName;
      readonly from: MemberPhase;
      readonly to: MemberPhase;
      readonly incarnation: number;
      readonly silentMs: number;
    }
  /** The view is another one than before. */
  | { readonly kind: "changed" }
  /**
   * Somebody presumed us dead; refuted with a new incarnation. `displaced`: nobody present says otherwise, so
   * we were replaced, and take nothing for `settleMs` as long as others can.
   */
  | {
      readonly kind: "accused";
      readonly by: MemberName;
      readonly displaced: boolean;
      readonly settleMs: number;
    }
  /** We were frozen (stopped, suspended, starved) for that long. */
  | { readonly kind: "frozen"; readonly forMs: number }
  | { readonly kind: "confirmed" }
  | { readonly kind: "refused"; readonly refusal: Refusal };

export interface MembershipOptions {
  readonly self: MemberName;
  readonly members: readonly MemberConfiguration[];
  readonly timing: Timing;
  /** 48 random bits, not 0. */
  readonly boot: number;
  /** Higher than in every earlier run where possible (wall clock); if not, the others tell. */
  readonly incarnation: number;
  readonly nowMs: number;
}

export function createMembership(options: MembershipOptions): Membership {
  const self = options.members.find((member) => member.name === options.self);
  if (self === undefined) throw new Error(`${options.self} is not among the members`);
  const facts: LocalFacts = {
    ready: false,
    caughtUp: false,
    draining: false,
    mainAlive: true,
    networks: new Map(),
    claims: [],
    unserved: [],
  };
  const membership: Membership = {
    self,
    timing: options.timing,
    boot: options.boot,
    networkNames: new Map(self.addresses.map(({ network }) => [networkIdOf(network), network])),
    peers: new Map(),
    incarnation: options.incarnation,
    sequence: 0,
    facts,
    networkFactsAtMs: options.nowMs,
    membersHeardAtMs: new Map(),
    unheardNetworks: [],
    advertised: { ...facts, settling: false, networks: [], claims: [] },
    stateVersion: 0,
    dirty: true,
    leaving: false,
    startedAtMs: options.nowMs,
    firstIncarnation: options.incarnation,
    tickedAtMs: options.nowMs,
    lateMs: 0,
    probeAtMs: options.nowMs,
    probeRound: 0,
    settlingUntilMs: options.nowMs,
    settleForMs: options.timing.settleMs,
    confirmed: false,
    confirmSequence: Number.POSITIVE_INFINITY,
    nonce: 0,
    asks: new Map(),
  };
  for (const configuration of options.members) {
    if (configuration === self) continue;
    membership.peers.set(configuration.number, createPeer(configuration, options.nowMs));
  }
  return membership;
}

/** Peers that are gone are forgotten, new ones begin unheard; who stays keeps what is known of it. */
export function relist(membership: Membership, members: readonly MemberConfiguration[], nowMs: number): void {
  const { self, peers } = membership;
  const others = new Map(members.filter(({ name }) => name !== self.name).map((one) => [one.number, one]));
  for (const [number, peer] of peers)
    if (others.get(number)?.name !== peer.configuration.name) peers.delete(number);
  for (const [number, configuration] of others) {
    const peer = peers.get(number);
    if (peer === undefined) peers.set(number, createPeer(configuration, nowMs));
    else peer.configuration = configuration;
  }
}

function createPeer(configuration: MemberConfiguration, nowMs: number): Peer {
  return {
    configuration,
    phase: "dead",
    phaseSinceMs: nowMs,
    incarnation: 0,
    boot: 0,
    sequence: 0,
    lastHeardAtMs: Number.NEGATIVE_INFINITY,
    evidenceAtMs: Number.NEGATIVE_INFINITY,
    hintedAtMs: undefined,
    calledAtMs: Number.NEGATIVE_INFINITY,
    callCount: 0,
    unansweredAtMs: undefined,
    lateMs: 0,
    repliedAtMs: Number.NEGATIVE_INFINITY,
    state: undefined,
    stateVersion: 0,
    supportsUs: false,
    stateVersionAcked: 0,
    links: new Map(),
  };
}

/** The view for ownership, the API and the logs. */
export function viewOf(membership: Membership, nowMs: number): ClusterView {
  const members: MemberView[] = [ownView(membership, nowMs)];
  for (const peer of membership.peers.values()) members.push(peerView(peer, nowMs));
  members.sort((a, b) => (a.name < b.name ? -1 : 1));
  const { self, unheardNetworks, confirmed } = membership;
  return { self: self.name, members, unheardNetworks, confirmed };
}

function ownView(membership: Membership, nowMs: number): MemberView {
  const { self, advertised } = membership;
  return {
    name: self.name,
    number: self.number,
    zone: self.zone,
    isSelf: true,
    phase: membership.leaving ? "left" : "alive",
    incarnation: membership.incarnation,
    ...flagsOf(advertised),
    networks: networksOf(self, advertised),
    silentMs: 0,
    phaseForMs: nowMs - membership.startedAtMs,
  };
}

function peerView(peer: Peer, nowMs: number): MemberView {
  const heard = peer.evidenceAtMs > Number.NEGATIVE_INFINITY;
  return {
    name: peer.configuration.name,
    number: peer.configuration.number,
    zone: peer.configuration.zone,
    isSelf: false,
    phase: peer.phase,
    incarnation: peer.incarnation,
    ...flagsOf(peer.state),
    networks: networksOf(peer.configuration, peer.state),
    silentMs: heard ? Math.max(0, nowMs - peer.evidenceAtMs) : undefined,
    phaseForMs: nowMs - peer.phaseSinceMs,
  };
}

function flagsOf(state: AdvertisedState | undefined) {
  return {
    ready: state?.ready ?? false,
    caughtUp: state?.caughtUp ?? false,
    draining: state?.draining ?? false,
    settling: state?.settling ?? false,
    mainAlive: state?.mainAlive ?? false,
    claims: state?.claims ?? [],
    unserved: state?.unserved ?? [],
  };
}

function networksOf(configuration: MemberConfiguration, state: AdvertisedState | undefined) {
  return configuration.addresses.map(({ network }) => {
    const id = networkIdOf(network);
    const known = state?.networks.find((candidate) => candidate.id === id);
    return { network, carrier: known?.carrier ?? false, heard: known?.heard ?? false };
  });
}
