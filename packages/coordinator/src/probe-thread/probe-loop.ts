// The probe thread's work without its thread: membership fed with datagrams, ticks and commands; views and
// notices reported; the sign of life beaten. Time, sockets and the way to the main loop are parameters, so
// that a simulation runs the same code.
import { deadAfterMs, type MemberConfiguration, type Timing } from "../configuration.ts";
import { type Credentials, secretCredentials } from "../keys/credentials.ts";
import { Keyring } from "../keys/keyring.ts";
import { createMembership, type Membership, type MembershipEvent, viewOf } from "../membership/state.ts";
import { nextTickAtMs, step } from "../membership/step.ts";
import { decode, refusalOf } from "../wire/decode.ts";
import { encodeUnsealed } from "../wire/encode.ts";
import { decodeHello } from "../wire/hello.ts";
import {
  FROM_OFFSET,
  KIND_HELLO,
  KIND_OFFSET,
  type Message,
  PROTOCOL_VERSION,
  type Refusal,
} from "../wire/message.ts";
import { hasTag, writeTag } from "../wire/tag.ts";
import type { Command, Notice, Report, ThreadData } from "./messages.ts";

/** Without a change the main thread gets a view this often, for its figures. */
const VIEW_PERIOD_MS = 500;
/** The goodbye is repeated, since a datagram may be lost. */
const LEAVE_COUNT = 3;
const LEAVE_SPACING_MS = 20;

/** Hellos of a member with another seal, after which it is said. */
const UNSEALED_COUNT_TOLD = 16;
const UNSEALED =
  "its hellos are sealed with another secret, or over a network of another name: cluster.secretFile and interfaces[].network (the interface's name where it is absent) are the same at every member";

export interface ProbePorts {
  readonly data: Pick<
    ThreadData,
    "self" | "members" | "timing" | "key" | "otherKeys" | "boot" | "incarnation"
  >;
  /** Monotonic milliseconds with a fraction. */
  nowMs(): number;
  /**
   * Runs `action` once, at least `delayMs` from now and, where `isDue` then, after the datagrams that have come by
   * then.
   */
  afterSockets(delayMs: number, isDue: () => boolean, action: () => void): { cancel(): void };
  after(delayMs: number, action: () => void): void;
  /** Proves who we are, and who the others are. Absent: the cluster's secret does. */
  readonly credentials?: Credentials;
  /**
   * Over every network that joins us with `member`: on each another datagram, whose bytes are good until the next
   * one is asked for.
   */
  send(datagram: (network: number) => Uint8Array, member: MemberConfiguration): void;
  /** Of the probes; default PROTOCOL_VERSION. A test's member of an older version speaks less. */
  readonly highestVersion?: number;
  /** The others' addresses are these from now on. */
  membersChanged?(others: readonly MemberConfiguration[]): void;
  /** Counts up while the main loop is alive. */
  pulse(): number;
  report(report: Report): void;
  beat(): void;
  socketCounters(): {
    readonly sent: number;
    readonly sendFailures: number;
    readonly closedNetworks: Readonly<Record<string, string>>;
  };
  /** Called once, when everything else has stopped. */
  closed(): void;
}

export class ProbeLoop {
  private readonly ports: ProbePorts;
  private readonly timing: Timing;
  private readonly membership: Membership;
  private readonly keyring: Keyring;
  /** By member: why its hellos are not believed; said once. */
  private readonly distrust = new Map<number, string>();
  /** By member that has no key with us: its hellos whose seal was not ours. */
  private readonly unsealed = new Map<number, number>();
  /**
   * What is spoken with each member: the lower one of its highest version and ours, as its last probe said.
   */
  private readonly versions = new Map<number, number>();
  private readonly highestVersion: number;
  private readonly refused: Partial<Record<Refusal, number>> = {};
  /** Of the cluster's secrets: the first seals hellos, each opens them. */
  private keys: readonly Uint8Array[];
  private received = 0;
  private lastPulse: number;
  private pulsedAtMs: number;
  private epoch = 0;
  private appliedEpoch = 0;
  private changed = true;
  private notices: Notice[] = [];
  private viewedAtMs = 0;
  private timer: { cancel(): void } | undefined;
  private closing = false;

  constructor(ports: ProbePorts) {
    this.ports = ports;
    this.highestVersion = ports.highestVersion ?? PROTOCOL_VERSION;
    this.timing = ports.data.timing;
    this.keys = [ports.data.key, ...(ports.data.otherKeys ?? [])];
    this.membership = createMembership({ ...ports.data, nowMs: ports.nowMs() });
    const { self, peers } = this.membership;
    this.keyring = new Keyring({
      self: self.number,
      boot: ports.data.boot,
      others: [...peers.keys()],
      credentials: ports.credentials ?? secretCredentials(ports.data.key, self.number),
    });
    this.lastPulse = ports.pulse();
    this.pulsedAtMs = ports.nowMs();
  }

  /** Our addresses, one a network. */
  get addresses(): MemberConfiguration["addresses"] {
    return this.membership.self.addresses;
  }

  start(): void {
    this.tick();
  }

  /** A datagram, of which nothing is kept, with the id of the network that it came over. */
  receive(bytes: Uint8Array, network: number): void {
    this.received++;
    if (bytes.length > KIND_OFFSET && bytes[KIND_OFFSET] === KIND_HELLO) {
      this.receiveHello(bytes, network);
      return;
    }
    const decoded = decode(bytes, (from, id) => this.keyring.keyOf(from, id), network, this.highestVersion);
    if (!decoded.ok) {
      this.refuse(decoded.refusal);
      return;
    }
    this.keyring.heard(decoded.message.from, decoded.keyId);
    if (decoded.highestVersion !== undefined)
      this.versions.set(decoded.message.from, Math.min(decoded.highestVersion, this.highestVersion));
    this.advance({ kind: "message", message: decoded.message, network });
  }

  /** A datagram from somewhere else than a member's address, beyond what is looked at of those. */
  overrun(): void {
    this.received++;
    this.refuse("overrun");
  }

  private receiveHello(bytes: Uint8Array, network: number): undefined {
    const refusal = refusalOf(bytes);
    if (refusal !== undefined) return this.refuse(refusal);
    if (!this.keys.some((key) => hasTag(bytes, key, network))) return this.refuseSeal(bytes);
    const hello = decodeHello(bytes);
    if (hello === undefined) return this.refuse("malformed");
    const outcome = this.keyring.take(hello, this.ports.nowMs());
    if (outcome.kind === "refused") {
      this.refuse(outcome.refusal);
      if (outcome.reason !== undefined) this.distrusted(hello.from, outcome.reason);
      return;
    }
    this.distrust.delete(hello.from);
    this.unsealed.delete(hello.from);
    if (outcome.reply) this.sendHello(hello.from);
    if (outcome.keyed) this.advance({ kind: "keyed", member: hello.from });
  }

  /**
   * Whoever sent it: what is said once names a member that is not heard either, after more of them than a change
   * of the secret takes.
   */
  private refuseSeal(bytes: Uint8Array): undefined {
    const from = (bytes[FROM_OFFSET] ?? 0) * 256 + (bytes[FROM_OFFSET + 1] ?? 0);
    if (this.keyring.needsHello(from)) {
      const count = (this.unsealed.get(from) ?? 0) + 1;
      this.unsealed.set(from, count);
      if (count >= UNSEALED_COUNT_TOLD) this.distrusted(from, UNSEALED);
    }
    return this.refuse("tag");
  }

  private distrusted(number: number, reason: string): void {
    if (this.distrust.get(number) === reason) return;
    this.distrust.set(number, reason);
    const member = this.membership.peers.get(number)?.configuration.name;
    if (member === undefined) return;
    this.notices.push({ kind: "distrusted", member, reason });
    this.report(this.ports.nowMs());
  }

  private refuse(refusal: Refusal): undefined {
    this.refused[refusal] = (this.refused[refusal] ?? 0) + 1;
  }

  private sendHello(number: number): void {
    const peer = this.membership.peers.get(number);
    const hello = this.keyring.hello(number);
    if (peer === undefined || hello === undefined) return;
    const [key = this.ports.data.key] = this.keys;
    this.ports.send((network) => hello(key, network), peer.configuration);
  }

  /** Under the key of the two; without one, the hello that leads to it is all that can be said. */
  private send(message: Message): void {
    const peer = this.membership.peers.get(message.to);
    if (peer === undefined) return;
    if (message.kind === "probe" && this.keyring.needsHello(message.to)) this.sendHello(message.to);
    const key = this.keyring.sealingKey(message.to);
    if (key === undefined) return;
    const datagram = encodeUnsealed(message, key.id, this.versions.get(message.to), this.highestVersion);
    const sealed = (network: number) => {
      writeTag(datagram, key.key, network);
      return datagram;
    };
    this.ports.send(sealed, peer.configuration);
  }

  command(message: Command): void {
    switch (message.kind) {
      case "facts": {
        const { kind: _, networks, ...rest } = message;
        this.advance({
          kind: "facts",
          facts:
            networks === undefined
              ? rest
              : { ...rest, networks: new Map(networks.map((fact) => [fact.network, fact])) },
        });
        return;
      }
      case "hint": {
        const peer = [...this.membership.peers.values()].find(
          ({ configuration }) => configuration.name === message.member,
        );
        if (peer === undefined) return;
        this.advance({ kind: "hint", member: peer.configuration.number });
        this.schedule();
        return;
      }
      case "applied":
        this.appliedEpoch = message.epoch;
        return;
      case "revoked":
        for (const number of this.keyring.revoke(message.list)) this.distrusted(number, "it is revoked");
        return;
      case "keys":
        this.keys = message.keys;
        return;
      case "members":
        this.relist(message.members);
        return;
      case "leave":
        this.goodbye(LEAVE_COUNT);
        return;
      case "close":
        this.close();
    }
  }

  private relist(members: readonly MemberConfiguration[]): void {
    const { self, peers } = this.membership;
    const others = members.filter(({ name }) => name !== self.name);
    const anew = others.filter(({ name, number }) => {
      const before = peers.get(number)?.configuration.name;
      return before !== undefined && before !== name;
    });
    this.keyring.relist(
      others.map(({ number }) => number),
      anew.map(({ number }) => number),
    );
    for (const number of this.distrust.keys()) if (!peers.has(number)) this.distrust.delete(number);
    this.ports.membersChanged?.(others);
    this.advance({ kind: "members", members });
    this.schedule();
  }

  /** A new certificate: hellos go out with the next round. */
  renew(credentials: Credentials): void {
    this.keyring.renew(credentials);
  }

  private advance(event: MembershipEvent): void {
    const atMs = this.ports.nowMs();
    for (const effect of step(this.membership, event, atMs)) {
      switch (effect.kind) {
        case "send":
          this.send(effect.message);
          break;
        case "refused":
          this.refuse(effect.refusal);
          break;
        case "changed":
          this.changed = true;
          break;
        default:
          // After a freeze of the whole process the main loop needs a moment as well: it was stopped, not
          // silent.
          if (effect.kind === "frozen") this.pulsedAtMs += effect.forMs;
          if (effect.kind === "frozen" || (effect.kind === "accused" && effect.displaced)) this.epoch++;
          this.notices.push(effect);
      }
    }
    if (this.changed || this.notices.length > 0 || atMs - this.viewedAtMs >= VIEW_PERIOD_MS)
      this.report(atMs);
  }

  private report(atMs: number): void {
    const { notices, epoch, received, refused } = this;
    const counters = { ...this.ports.socketCounters(), received, refused };
    this.ports.report({ kind: "view", view: viewOf(this.membership, atMs), notices, epoch, counters });
    this.changed = false;
    this.notices = [];
    this.viewedAtMs = atMs;
  }

  private mainIsAlive(): boolean {
    const current = this.ports.pulse();
    if (current !== this.lastPulse) {
      this.lastPulse = current;
      this.pulsedAtMs = this.ports.nowMs();
    }
    return this.ports.nowMs() - this.pulsedAtMs < this.timing.mainSilentMaxMs;
  }

  private tick(): void {
    if (this.closing) return;
    this.advance({ kind: "tick" });
    const mainAlive = this.mainIsAlive();
    if (mainAlive !== this.membership.facts.mainAlive) this.advance({ kind: "facts", facts: { mainAlive } });
    this.beat();
    this.schedule();
  }

  private schedule(): void {
    this.timer?.cancel();
    if (this.closing) return;
    const delayMs = Math.max(0, Math.ceil(nextTickAtMs(this.membership) - this.ports.nowMs()));
    // Who was to be called has mostly been heard by then: that is no tick, and nothing is read for it.
    const isDue = () => nextTickAtMs(this.membership) <= this.ports.nowMs();
    this.timer = this.ports.afterSockets(delayMs, isDue, () => (isDue() ? this.tick() : this.schedule()));
  }

  /**
   * With every tick, which comes at least as often as probes do: the data plane's sign of life is as old as
   * our last word to the others, and is stale after as long a silence as they take for a death.
   */
  private beat(): void {
    // Late ourselves, or not yet told what happened while we were: a sign of life would make a zombie answer
    // for VIPs.
    if (this.ports.nowMs() - this.membership.tickedAtMs > deadAfterMs(this.timing)) return;
    if (!this.membership.confirmed || this.appliedEpoch < this.epoch || !this.mainIsAlive()) return;
    this.ports.beat();
  }

  private goodbye(count: number): void {
    if (count === 0) {
      this.close();
      return;
    }
    this.advance({ kind: "leave" });
    this.ports.after(LEAVE_SPACING_MS, () => this.goodbye(count - 1));
  }

  private close(): void {
    if (this.closing) return;
    this.closing = true;
    this.timer?.cancel();
    this.ports.closed();
  }
}
