// UDP sockets of each network, bound to our address there: the socket a datagram arrives on says which
// network works.
//
// One sends, and takes what comes from anywhere. Beside it each other member has one that is connected to its
// address: the kernel gives what comes from there to that one alone, so that a stranger's flood fills neither
// its buffer nor its turn. Nothing is sent over the connected ones: an ICMP error, which anybody can forge,
// would make the next sending fail.
import { createSocket, type Socket } from "node:dgram";
import { familyOf } from "@holdfast/model";
import { type MemberAddress, type MemberConfiguration, networkIdOf } from "../configuration.ts";

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
  readonly any: Socket;
  /** By whom it is connected to. */
  readonly members: Map<Socket, MemberAddress>;
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
  sendFailures = 0;
  /** By network: why its socket is not open. */
  readonly closedNetworks = new Map<string, string>();
  private readonly options: ProbeSocketOptions;
  private members: readonly MemberConfiguration[];
  private readonly open = new Map<string, Bound>();
  private readonly timers = new Set<NodeJS.Timeout>();
  private strangerTurnMs = 0;
  private strangerCount = 0;
  private closed = false;

  constructor(options: ProbeSocketOptions) {
    this.options = options;
    this.members = options.members;
    for (const address of options.addresses) this.bind(address);
  }

  /** Over every network that joins us with `member`. */
  send(datagram: (network: number) => Uint8Array, member: MemberConfiguration): void {
    for (const { network, address, port } of member.addresses) {
      const bound = this.open.get(network);
      if (bound === undefined) continue;
      this.sent++;
      bound.any.send(datagram(networkIdOf(network)), port, address, (error) => {
        // A network that is down refuses at once; the others carry the probe.
        if (error !== null) this.sendFailures++;
      });
    }
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
        socket.close();
      }
      for (const theirs of this.reachedFrom(bound.own))
        if (!known.has(textOf(theirs))) this.join(bound, bound.own, theirs);
    }
  }

  private reachedFrom(own: MemberAddress): readonly MemberAddress[] {
    return this.members.flatMap(({ addresses }) =>
      addresses.filter(({ network }) => network === own.network),
    );
  }

  close(): void {
    this.closed = true;
    for (const timer of this.timers) clearTimeout(timer);
    for (const bound of this.open.values()) closeAll(bound);
    this.open.clear();
  }

  private bind(own: MemberAddress): void {
    if (this.closed) return;
    const any = this.socketFor(own);
    const bound: Bound = { own, any, members: new Map() };
    const id = networkIdOf(own.network);
    any.on("message", (bytes) => {
      if (this.mayLook()) this.options.receive(bytes, id);
      else this.options.overrun();
    });
    any.on("error", (error) => {
      this.closedNetworks.set(own.network, error.message);
      if (this.open.get(own.network) === bound) this.open.delete(own.network);
      closeAll(bound);
      this.later(() => this.bind(own));
    });
    any.bind({ address: own.address, port: own.port }, () => {
      if (this.closed) {
        any.close();
        return;
      }
      any.setTTL(this.options.hopLimit);
      any.setRecvBufferSize(STRANGER_BUFFER_SIZE);
      this.closedNetworks.delete(own.network);
      this.open.set(own.network, bound);
      for (const theirs of this.reachedFrom(own)) this.join(bound, own, theirs);
    });
  }

  /** What comes from one address of another member. Without it, that comes to the socket for anywhere. */
  private join(bound: Bound, own: MemberAddress, theirs: MemberAddress): void {
    if (this.closed || this.open.get(own.network) !== bound) return;
    if (familyOf(theirs.address) !== familyOf(own.address)) return;
    const socket = this.socketFor(own);
    const id = networkIdOf(own.network);
    let isConnected = false;
    bound.members.set(socket, theirs);
    socket.on("message", (bytes) => {
      // Before it is connected it has what comes from anywhere.
      if (isConnected || this.mayLook()) this.options.receive(bytes, id);
      else this.options.overrun();
    });
    socket.on("error", () => {
      // Of a datagram that nobody sent over it: an ICMP error, forged or not. Else there was no way, and may
      // be one later.
      if (isConnected || !bound.members.delete(socket)) return;
      socket.close();
      this.later(() => {
        const isListed = this.reachedFrom(own).some((one) => textOf(one) === textOf(theirs));
        const isJoined = [...bound.members.values()].some((one) => textOf(one) === textOf(theirs));
        if (isListed && !isJoined) this.join(bound, own, theirs);
      });
    });
    socket.bind({ address: own.address, port: own.port }, () => {
      if (!bound.members.has(socket)) return;
      socket.setRecvBufferSize(RECEIVE_BUFFER_SIZE);
      socket.connect(theirs.port, theirs.address, (error?: Error) => {
        if (error === undefined || error === null) isConnected = true;
        else socket.emit("error", error);
      });
    });
  }

  private socketFor(own: MemberAddress): Socket {
    // The sockets of one address share it; whose datagram it is the kernel decides by its source.
    const family = familyOf(own.address);
    return createSocket({
      type: family === 4 ? "udp4" : "udp6",
      reuseAddr: true,
      // Addresses are addresses: the resolver would take a turn of the loop for each datagram to find that out.
      lookup: (address, _options, callback) => callback(null, address, family),
    });
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

function closeAll({ any, members }: Bound): void {
  any.close();
  for (const socket of members.keys()) socket.close();
  members.clear();
}
