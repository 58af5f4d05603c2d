// The transport of the product: a full mesh of ws connections over TLS. Whichever of two members dials, one
// link a pair is kept; every refusal is counted by reason and told to both logs.
import type { MemberName } from "@holdfast/model";
import type { WebSocket } from "ws";
import type { CertifiedMember } from "../certificates/identity.ts";
import { isRevoked, type Revocation } from "../certificates/revocation.ts";
import type { MemberTls } from "../certificates/verify.ts";
import { CAPABILITIES } from "../messages/capabilities.ts";
import { encodePeerMessage } from "../messages/codec.ts";
import { type Greeting, PROTOCOL_VERSION, PROTOCOL_VERSION_LOWEST } from "../messages/greeting.ts";
import { MEMBER_COUNT_MAX, PEER_QUEUE_BYTES_MAX } from "../ports/limits.ts";
import type { PeerMessage } from "../ports/messages.ts";
import type { PeerIdentity, Transport, TransportHandlers } from "../ports/transport.ts";
import {
  isStranger,
  laterListOf,
  NOT_CONFIGURED,
  REMOVED,
  type Refusal,
  refusalOf,
  removedText,
} from "./admission.ts";
import { applicantOf } from "./applicant.ts";
import { Dialer } from "./dialer.ts";
import { Link, type LinkEvents } from "./link.ts";
import { type Listener, listen } from "./listener.ts";
import { RefusalLog } from "./refusal-log.ts";
import {
  ADDRESS_COUNT_MAX,
  type ConfiguredMember,
  type HostPort,
  type JoinAddress,
  LINK_TIMING,
  type LinkTiming,
  type Listing,
  type WsTransportOptions,
} from "./settings.ts";

const REVOKED: Refusal = { reason: "revoked", explanation: "the member's certificate is revoked" };

/** Monotonic counters, by stable name. */
export interface TransportCounters {
  readonly sentBytes: number;
  readonly sentMessages: number;
  readonly receivedMessages: number;
  readonly queueDrops: number;
  /** Messages of kinds that only later versions know: passed over. */
  readonly unknownMessages: number;
  readonly links: number;
  /** Refusals by reason, of peers by this member and of this member by peers. */
  readonly refusals: Readonly<Record<string, number>>;
}

export class WsTransport implements Transport {
  readonly #options: WsTransportOptions;
  readonly #timing: LinkTiming;
  readonly #own: Greeting;
  #members: readonly ConfiguredMember[] = [];
  /** undefined: not known yet, this member joins. */
  #configured: ReadonlyMap<MemberName, number> | undefined;
  #removed: ReadonlySet<MemberName> = new Set();
  #listVersion = 0;
  /** Dials whoever is there while this member joins. */
  #joiner: Dialer | undefined;
  #joinText = "";
  readonly #dialers = new Map<MemberName, Dialer>();
  readonly #greeting = new Set<Link>();
  /** Links that are up, by member number. */
  readonly #links = new Map<number, Link>();
  /** Dialled for `cluster.join`. */
  readonly #joining = new WeakSet<Link>();
  readonly #refusals: RefusalLog;
  #sentBytes = 0;
  #sentMessages = 0;
  #receivedMessages = 0;
  #queueDrops = 0;
  /** Of links that have ended. */
  #unknownMessages = 0;
  #linkCount = 0;
  #handlers: TransportHandlers | undefined;
  #listener: Listener | undefined;
  #revoked: readonly Revocation[];
  #tls: MemberTls | "plain";
  #stopped = false;
  #lastMessage: PeerMessage | undefined;
  #lastBytes: Uint8Array = new Uint8Array(0);

  /**
   * Listening has begun when this resolves; nothing is dialled before `start`. Errors: SYNC_LISTEN_FAILED.
   */
  static async open(options: WsTransportOptions): Promise<WsTransport> {
    const transport = new WsTransport(options);
    const isMember = (address: string) =>
      transport.#members.some(({ addresses }) => addresses.some(({ host }) => host === address));
    transport.#listener = await listen(options.listen, options.tls, isMember, {
      accepted: (socket, certified, remote) => transport.#opened(socket, undefined, certified, remote),
      refused: (reason, explanation, remote) =>
        transport.#refusals.note("refused a connection", reason, explanation, remote, undefined),
    });
    return transport;
  }

  /** Use `open`. */
  constructor(options: WsTransportOptions) {
    this.#options = options;
    this.#refusals = new RefusalLog(options.clock, options.logger);
    this.#timing = { ...LINK_TIMING, ...options.timing };
    this.#revoked = options.revoked ?? [];
    this.#tls = options.tls;
    this.#own = {
      versionLowest: PROTOCOL_VERSION_LOWEST,
      versionHighest: PROTOCOL_VERSION,
      clusterId: options.clusterId,
      memberName: options.memberName,
      memberNumber: options.memberNumber,
      memberNumberCount: options.memberNumberCount,
      instance: options.random.bytes(16),
      capabilities: CAPABILITIES,
    };
    this.setMembers(options);
  }

  setMembers({ members, removed = [], join = [], version = 0 }: Listing): void {
    const { memberName, logger } = this.#options;
    this.#listVersion = version;
    this.#removed = new Set(removed);
    const before = new Map(this.#members.map((member) => [member.name, JSON.stringify(member)]));
    const others = members.filter((member) => member.name !== memberName).slice(0, MEMBER_COUNT_MAX);
    this.#members = others;
    this.#configured =
      join.length > 0 ? undefined : new Map(others.map((member) => [member.name, member.number]));
    this.#setJoin(join);
    for (const [name, dialer] of this.#dialers) {
      const now = others.find((member) => member.name === name);
      if (now !== undefined && JSON.stringify(now) === before.get(name)) continue;
      dialer.stop();
      this.#dialers.delete(name);
    }
    for (const member of others) {
      if (this.#dialers.has(member.name)) continue;
      if (member.addresses.length > ADDRESS_COUNT_MAX)
        logger.warn({ member: member.name }, `only the first ${ADDRESS_COUNT_MAX} addresses are used`);
      const dialer = this.#dialerOf(member.name, member.addresses.slice(0, ADDRESS_COUNT_MAX));
      this.#dialers.set(member.name, dialer);
      if (this.#handlers !== undefined && !this.#isConnected(member.name))
        dialer.schedule(this.#yieldMs(member.name));
    }
    this.#refuseLinks((link) => this.#unlisted(link));
  }

  #unlisted({ greeting }: Link): Refusal | undefined {
    const { memberName: name = "", memberNumber } = greeting ?? {};
    if (this.#configured === undefined || this.#configured.get(name) === memberNumber) return undefined;
    const reason = this.#removed.has(name) ? REMOVED : NOT_CONFIGURED;
    return { reason, explanation: reason === REMOVED ? removedText(name) : "no member any longer" };
  }

  /**
   * Also those that still greet: who is let in now comes up later, and of two links that were dialled at once
   * the other side may keep the one that greets here.
   */
  #refuseLinks(refusalOfLink: (link: Link) => Refusal | undefined): void {
    for (const link of [...this.#links.values(), ...this.#greeting]) {
      const refusal = refusalOfLink(link);
      if (refusal !== undefined) link.refuse(refusal);
    }
  }

  #setJoin(join: readonly JoinAddress[]): void {
    const text = JSON.stringify(join);
    if (text === this.#joinText) return;
    this.#joinText = text;
    this.#joiner?.stop();
    this.#joiner = join.length === 0 ? undefined : this.#dialerOf(undefined, join);
    if (this.#handlers !== undefined) this.#joiner?.schedule(0);
  }

  /** Where it really listens, ports filled in. */
  get bound(): readonly HostPort[] {
    return this.#listener?.bound ?? [];
  }

  start(handlers: TransportHandlers): void {
    this.#handlers = handlers;
    for (const [name, dialer] of this.#dialers) dialer.schedule(this.#yieldMs(name));
    this.#joiner?.schedule(0);
  }

  peers(): readonly PeerIdentity[] {
    return [...this.#links.values()].map(identityOf).sort((a, b) => a.number - b.number);
  }

  send(peer: number, message: PeerMessage): boolean {
    const link = this.#links.get(peer);
    if (link === undefined) return false;
    // A tick goes to every member: encode it once.
    if (message !== this.#lastMessage) {
      this.#lastBytes = encodePeerMessage(message);
      this.#lastMessage = message;
    }
    const queued = link.send(this.#lastBytes);
    if (queued) {
      this.#sentMessages++;
      this.#sentBytes += this.#lastBytes.length;
    }
    return queued;
  }

  queuedBytes(peer: number): number {
    return this.#links.get(peer)?.queuedBytes ?? 0;
  }

  refuse(peer: number, reason: string): void {
    const name = this.#links.get(peer)?.greeting?.memberName;
    const isOfPeer = ({ greeting, dialled }: Link) =>
      greeting?.memberNumber === peer || (name !== undefined && dialled === name);
    const refusal = { reason, explanation: "the peer broke the rules of the peer messages" };
    this.#refuseLinks((link) => (isOfPeer(link) ? refusal : undefined));
  }

  counters(): TransportCounters {
    return {
      sentBytes: this.#sentBytes,
      sentMessages: this.#sentMessages,
      receivedMessages: this.#receivedMessages,
      queueDrops: this.#queueDrops,
      unknownMessages:
        this.#unknownMessages +
        [...this.#links.values()].reduce((sum, { unknownCount }) => sum + unknownCount, 0),
      links: this.#linkCount,
      refusals: this.#refusals.counts(),
    };
  }

  /** Bytes as they are, for tests of the other side's guards. */
  sendRaw(peer: number, bytes: Uint8Array): void {
    this.#links.get(peer)?.send(bytes);
  }

  /** Breaks a link as a network does, for tests. */
  breakLink(peer: number): void {
    this.#links.get(peer)?.close("silence");
  }

  /** Links that are up stay; those that begin from now on show and check these certificates. */
  setRevoked(list: readonly Revocation[]): void {
    this.#revoked = list;
    this.#refuseLinks((link) => (this.#isRevoked(link) ? REVOKED : undefined));
  }

  #isRevoked({ certified }: Link): boolean {
    return certified !== undefined && isRevoked(certified.certificate, this.#revoked);
  }

  setTls(tls: MemberTls): void {
    this.#tls = tls;
    this.#listener?.setTls(tls);
    for (const dialer of this.#dialers.values()) dialer.setTls(tls);
    this.#joiner?.setTls(tls);
    this.#refusals.forgetLogged();
  }

  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    for (const dialer of this.#dialers.values()) dialer.stop();
    this.#joiner?.stop();
    for (const link of [...this.#greeting, ...this.#links.values()]) link.close("stopped");
    await this.#listener?.close();
  }

  #dialerOf(member: MemberName | undefined, addresses: readonly JoinAddress[]): Dialer {
    const { clusterId, clock, random, logger } = this.#options;
    return new Dialer({
      member,
      addresses,
      clusterId,
      tls: this.#tls,
      clock,
      random,
      timing: this.#timing,
      logger,
      opened: (socket, certified, remote) =>
        this.#opened(socket, member, certified, remote, member === undefined),
      refused: (reason, explanation, remote) =>
        this.#refusals.note("was refused", reason, explanation, remote, member),
    });
  }

  #opened(
    socket: WebSocket,
    dialled: MemberName | undefined,
    certified: CertifiedMember | undefined,
    remote: string,
    isJoin = false,
  ): void {
    if (this.#stopped || this.#handlers === undefined) {
      socket.terminate();
      return;
    }
    const { clock, queueBytesMax = PEER_QUEUE_BYTES_MAX } = this.#options;
    const link = new Link({
      socket,
      dialled,
      certified,
      remote,
      own: this.#greetingTo(dialled),
      clock,
      timing: this.#timing,
      queueBytesMax,
      events: this.#events,
    });
    this.#greeting.add(link);
    if (isJoin) this.#joining.add(link);
  }

  #greetingTo(dialled: MemberName | undefined): Greeting {
    const memberNumber = dialled === undefined ? undefined : this.#configured?.get(dialled);
    if (this.#listVersion === 0 || memberNumber === undefined) return this.#own;
    return { ...this.#own, list: { version: this.#listVersion, memberNumber } };
  }

  readonly #events: LinkEvents = {
    judge: (link, greeting) => this.#judge(link, greeting),
    up: (link) => this.#up(link),
    message: (link, message) => {
      if (!this.#isCurrent(link)) return;
      this.#receivedMessages++;
      this.#handlers?.message(identityOf(link), message);
    },
    dropped: (link) => {
      this.#queueDrops++;
      if (this.#isCurrent(link)) this.#handlers?.dropped(identityOf(link));
    },
    closed: (link, reason) => this.#closed(link, reason),
  };

  #judge(link: Link, greeting: Greeting): Promise<Refusal | undefined> | Refusal | undefined {
    const later = laterListOf(greeting, this.#own, this.#listVersion);
    const refusal = refusalOf(greeting, {
      own: this.#own,
      certified: link.certified,
      expected: link.dialled,
      configured: this.#configured,
      // Who has a later list may be on it again; it would believe this member that it is not.
      ...(later === undefined && { removed: this.#removed }),
    });
    const isRevoked = this.#isRevoked(link);
    if (refusal !== undefined && isStranger(refusal, later) && !isRevoked) {
      const applicant = applicantOf(link, later);
      if (applicant !== undefined) this.#handlers?.applied?.(applicant);
    }
    if (refusal !== undefined) return refusal;
    if (isRevoked) return REVOKED;
    const existing = this.#links.get(greeting.memberNumber);
    if (
      existing?.greeting === undefined ||
      Buffer.compare(existing.greeting.instance, greeting.instance) === 0
    )
      return undefined;
    return this.#challenge(existing, greeting);
  }

  /** A second instance with a connected member's number: the first restarted, unless it still answers. */
  async #challenge(existing: Link, greeting: Greeting): Promise<Refusal | undefined> {
    if (!(await existing.answers(this.#timing.challengeMs))) return undefined;
    return {
      reason: "number-taken",
      explanation: `${existing.greeting?.memberName} at ${existing.remote} has number ${greeting.memberNumber} and is alive; a second ${greeting.memberName} claims it`,
    };
  }

  #up(link: Link): void {
    const greeting = link.greeting;
    if (greeting === undefined) return;
    this.#greeting.delete(link);
    const existing = this.#links.get(greeting.memberNumber);
    if (existing !== undefined) {
      if (this.#keeps(existing, link)) {
        link.close("duplicate");
        return;
      }
      existing.close("replaced");
    }
    this.#links.set(greeting.memberNumber, link);
    this.#linkCount++;
    this.#dialers.get(greeting.memberName)?.succeeded();
    this.#joiner?.succeeded();
    this.#options.logger.info(
      { member: greeting.memberName, number: greeting.memberNumber, remote: link.remote },
      "member connected",
    );
    this.#handlers?.connected(identityOf(link));
  }

  /**
   * Both dialled at the same time: both keep the link that the member with the smaller name dialled. An older
   * link is another matter: the peer would not have made a second one, had it not lost the first.
   */
  #keeps(existing: Link, link: Link): boolean {
    const sameInstance =
      Buffer.compare(
        existing.greeting?.instance ?? new Uint8Array(0),
        link.greeting?.instance ?? new Uint8Array(0),
      ) === 0;
    if (!sameInstance || link.upAtMs - existing.upAtMs > this.#timing.dialMs) return false;
    const ownDials = this.#own.memberName < (link.greeting?.memberName ?? "");
    return (existing.dialled !== undefined) === ownDials;
  }

  #closed(link: Link, reason: string): void {
    this.#greeting.delete(link);
    this.#unknownMessages += link.unknownCount;
    const member = link.greeting?.memberName ?? link.dialled;
    if (link.refusal !== undefined)
      this.#refusals.note(
        "refused a member",
        link.refusal.reason,
        link.refusal.explanation,
        link.remote,
        member,
      );
    if (link.refusedByPeer !== undefined) {
      const { reason: why, explanation } = link.refusedByPeer;
      this.#refusals.note("was refused", why, explanation, link.remote, member);
      // Only who is on the list has a say, and only in its own name.
      if (member !== undefined && this.#dialers.has(member)) {
        if (why === REMOVED) this.#handlers?.turnedAway?.(member, "excluded");
        if (why === REVOKED.reason) this.#handlers?.turnedAway?.(member, "revoked");
      }
    }
    const current = this.#isCurrent(link);
    if (current && link.greeting !== undefined) {
      this.#links.delete(link.greeting.memberNumber);
      this.#options.logger.info({ member, remote: link.remote, reason }, "member disconnected");
      this.#handlers?.disconnected(identityOf(link), reason);
    }
    if (this.#stopped) return;
    this.#joinAgain(link, current);
    const dialer = member === undefined ? undefined : this.#dialers.get(member);
    if (dialer === undefined || member === undefined || this.#isConnected(member)) return;
    if (reason === "silence") dialer.rotate();
    if (link.refusal !== undefined || link.refusedByPeer !== undefined) dialer.pause();
    else if (current) dialer.schedule(this.#yieldMs(member));
    else dialer.retry();
  }

  #joinAgain(link: Link, wasUp: boolean): void {
    if (this.#joiner === undefined || this.#links.size > 0) return;
    // Of a link to itself both ends close, and one failure is not two.
    if (!this.#joining.delete(link) && !wasUp) return;
    if (link.refusal !== undefined || link.refusedByPeer !== undefined) this.#joiner.pause();
    else this.#joiner.retry();
  }

  #isConnected(member: MemberName): boolean {
    for (const link of this.#links.values()) if (link.greeting?.memberName === member) return true;
    return false;
  }

  #isCurrent(link: Link): boolean {
    return link.greeting !== undefined && this.#links.get(link.greeting.memberNumber) === link;
  }

  #yieldMs(member: MemberName): number {
    const jitter = this.#options.random.below(20);
    return this.#own.memberName < member ? jitter : this.#timing.yieldMs + jitter;
  }
}

function identityOf(link: Link): PeerIdentity {
  const { greeting } = link;
  const capabilities = greeting?.capabilities ?? [];
  return { name: greeting?.memberName ?? "", number: greeting?.memberNumber ?? -1, capabilities };
}
