// UDP sockets of each network, bound to our address there: the socket a datagram arrives on says which
// network works.
//
// One sends, and takes what comes from anywhere. Beside it each other member has one that is connected to its
// address: the kernel gives what comes from there to that one alone, so that a stranger's flood fills neither
// its buffer nor its turn. Nothing is sent over the connected ones: an ICMP error, which anybody can forge,
// would make the next sending fail.
import { familyOf } from "@holdfast/model";
import { type MemberAddress, type MemberConfiguration, networkIdOf } from "../configuration.ts";
import {
  closeSocket,
  connectSocket,
  type Fixed,
  Inbox,
  Outbox,
  openSocket,
  socketAddress,
} from "./datagrams.ts";

/** An address that is not there (yet) is tried again this often. */
export const REBIND_PERIOD_MS = 500;
const RECEIVE_BUFFER_SIZE = 1 << 20;
/** What waits from anywhere else. */
const STRANGER_BUFFER_SIZE = 64 * 1024;
/** … and how much of it is looked at in one turn of so long, all networks together. The rest is counted. */
const STRANGER_TURN_MS = 10;
const STRANGER_COUNT_MAX_PER_TURN = 64;

/** The sockets of one of our addresses. */
interface Bound {
  readonly own: MemberAddress;
  readonly any: number;
  /** By whom it is connected to. */
  readonly members: Map<number, MemberAddress>;
}

export interface ProbeSocketOptions {
  readonly addresses: readonly MemberAddress[];
  readonly members: readonly MemberConfiguration[];
  readonly hopLimit: number;
  readonly receive: (bytes: Uint8Array, network: number) => void;
  /** One that was not looked at. */
  readonly overrun: () => void;
}

export class ProbeSockets {
  sent = 0;
  /** By network: why its socket is not open. */
  readonly closedNetworks = new Map<string, string>();
  private readonly options: ProbeSocketOptions;
  private members: readonly MemberConfiguration[];
  private readonly open = new Map<string, Bound>();
  private readonly timers = new Set<NodeJS.Timeout>();
  private readonly outbox = new Outbox();
  private readonly inbox = new Inbox();
  private readonly names = new WeakMap<MemberAddress, Fixed>();
  private strangerTurnMs = 0;
  private strangerCount = 0;
  private closed = false;

  constructor(options: ProbeSocketOptions) {
    this.options = options;
    this.members = options.members;
    for (const address of options.addresses) this.bind(address);
  }

  get sendFailures(): number {
    return this.outbox.failures;
  }

  /** Over every network that joins us with `member`, at the end of this turn. */
  send(datagram: (network: number) => Uint8Array, member: MemberConfiguration): void {
    for (const to of member.addresses) {
      const bound = this.open.get(to.network);
      if (bound === undefined) continue;
      this.sent++;
      this.outbox.add(bound.any, this.nameOf(to), datagram(networkIdOf(to.network)));
    }
  }

  /** Takes what has come by now. */
  read(): void {
    this.inbox.read();
  }

  /** Sockets of whom is not there any longer close; new ones open. */
  setMembers(members: readonly MemberConfiguration[]): void {
    this.members = members;
    const listed = new Set(members.flatMap(({ addresses }) => addresses.map(textOf)));
    for (const bound of this.open.values()) {
      const known = new Set<string>();
      for (const [socket, theirs] of bound.members) {
        known.add(textOf(theirs));
        if (listed.has(textOf(theirs))) continue;
        bound.members.delete(socket);
        this.end(socket);
      }
      for (const theirs of this.reachedFrom(bound.own))
        if (!known.has(textOf(theirs))) this.join(bound, bound.own, theirs);
    }
  }

  close(): void {
    this.closed = true;
    for (const timer of this.timers) clearTimeout(timer);
    for (const bound of this.open.values()) this.endAll(bound);
    this.open.clear();
    this.inbox.close();
  }

  private nameOf(to: MemberAddress): Fixed {
    let name = this.names.get(to);
    if (name === undefined) {
      name = socketAddress(to);
      this.names.set(to, name);
    }
    return name;
  }

  private reachedFrom(own: MemberAddress): readonly MemberAddress[] {
    return this.members.flatMap(({ addresses }) =>
      addresses.filter(({ network }) => network === own.network),
    );
  }

  private bind(own: MemberAddress): void {
    if (this.closed) return;
    const failed = (reason: string) => {
      this.closedNetworks.set(own.network, reason);
      this.later(() => this.bind(own));
    };
    let any: number;
    try {
      any = openSocket(own, {
        receiveBufferSize: STRANGER_BUFFER_SIZE,
        hopLimit: this.options.hopLimit,
      });
    } catch (error) {
      failed((error as Error).message);
      return;
    }
    const bound: Bound = { own, any, members: new Map() };
    const id = networkIdOf(own.network);
    this.inbox.add(any, {
      take: (bytes) => {
        if (this.mayLook()) this.options.receive(bytes, id);
        else this.options.overrun();
      },
      failed: (reason) => {
        if (this.open.get(own.network) === bound) this.open.delete(own.network);
        this.endAll(bound);
        failed(reason);
      },
    });
    this.closedNetworks.delete(own.network);
    this.open.set(own.network, bound);
    for (const theirs of this.reachedFrom(own)) this.join(bound, own, theirs);
  }

  /** What comes from one address of another member. Without it, that comes to the socket for anywhere. */
  private join(bound: Bound, own: MemberAddress, theirs: MemberAddress): void {
    if (this.closed || this.open.get(own.network) !== bound) return;
    if (familyOf(theirs.address) !== familyOf(own.address)) return;
    const socket = this.connected(own, theirs);
    if (socket === undefined) {
      // There is no way, and may be one later.
      this.later(() => {
        const isListed = this.reachedFrom(own).some((one) => textOf(one) === textOf(theirs));
        const isJoined = [...bound.members.values()].some((one) => textOf(one) === textOf(theirs));
        if (isListed && !isJoined) this.join(bound, own, theirs);
      });
      return;
    }
    const id = networkIdOf(own.network);
    bound.members.set(socket, theirs);
    this.inbox.add(socket, {
      take: (bytes) => this.options.receive(bytes, id),
      // Of a datagram that nobody sent over it: an ICMP error, forged or not.
      failed: () => {},
    });
  }

  private connected(own: MemberAddress, theirs: MemberAddress): number | undefined {
    let socket: number;
    try {
      // The sockets of one address share it; whose datagram it is the kernel decides by its source.
      socket = openSocket(own, { receiveBufferSize: RECEIVE_BUFFER_SIZE });
    } catch {
      return undefined;
    }
    if (connectSocket(socket, theirs)) return socket;
    closeSocket(socket);
    return undefined;
  }

  private end(socket: number): void {
    this.outbox.forget(socket);
    this.inbox.remove(socket);
    closeSocket(socket);
  }

  private endAll({ any, members }: Bound): void {
    for (const socket of [any, ...members.keys()]) this.end(socket);
    members.clear();
  }

  private mayLook(): boolean {
    const nowMs = performance.now();
    if (nowMs - this.strangerTurnMs >= STRANGER_TURN_MS) {
      this.strangerTurnMs = nowMs;
      this.strangerCount = 0;
    }
    this.strangerCount += 1;
    return this.strangerCount <= STRANGER_COUNT_MAX_PER_TURN;
  }

  private later(action: () => void): void {
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      action();
    }, REBIND_PERIOD_MS);
    this.timers.add(timer);
  }
}

function textOf({ network, address, port }: MemberAddress): string {
  return `${network} ${address} ${port}`;
}
