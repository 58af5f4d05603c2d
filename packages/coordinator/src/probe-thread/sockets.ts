// One UDP socket per network, bound to our address there: the socket a datagram arrives on says which network works.
import { createSocket, type Socket } from "node:dgram";
import { familyOf } from "@holdfast/model";
import { type MemberAddress, type MemberConfiguration, networkIdOf } from "../configuration.ts";

/** An address that is not there (yet) is tried again this often. */
export const REBIND_PERIOD_MS = 500;
const RECEIVE_BUFFER_SIZE = 1 << 20;

export class ProbeSockets {
  sent = 0;
  sendFailures = 0;
  /** By network: why its socket is not open. */
  readonly closedNetworks = new Map<string, string>();
  private readonly open = new Map<string, Socket>();
  private readonly timers = new Set<NodeJS.Timeout>();
  private readonly hopLimit: number;
  private readonly receive: (bytes: Uint8Array, network: number) => void;
  private closed = false;

  constructor(
    addresses: readonly MemberAddress[],
    hopLimit: number,
    receive: (bytes: Uint8Array, network: number) => void,
  ) {
    this.hopLimit = hopLimit;
    this.receive = receive;
    for (const address of addresses) this.bind(address);
  }

  /** Over every network that joins us with `member`. */
  send(datagram: (network: number) => Uint8Array, member: MemberConfiguration): void {
    for (const { network, address, port } of member.addresses) {
      const socket = this.open.get(network);
      if (socket === undefined) continue;
      this.sent++;
      socket.send(datagram(networkIdOf(network)), port, address, (error) => {
        // A network that is down refuses at once; the others carry the probe.
        if (error !== null) this.sendFailures++;
      });
    }
  }

  close(): void {
    this.closed = true;
    for (const timer of this.timers) clearTimeout(timer);
    for (const socket of this.open.values()) socket.close();
    this.open.clear();
  }

  private bind(own: MemberAddress): void {
    if (this.closed) return;
    const socket = createSocket({ type: familyOf(own.address) === 4 ? "udp4" : "udp6" });
    const id = networkIdOf(own.network);
    socket.on("message", (bytes) => this.receive(bytes, id));
    socket.on("error", (error) => {
      this.closedNetworks.set(own.network, error.message);
      if (this.open.get(own.network) === socket) this.open.delete(own.network);
      socket.close();
      const timer = setTimeout(() => {
        this.timers.delete(timer);
        this.bind(own);
      }, REBIND_PERIOD_MS);
      this.timers.add(timer);
    });
    socket.bind({ address: own.address, port: own.port, exclusive: true }, () => {
      if (this.closed) {
        socket.close();
        return;
      }
      socket.setTTL(this.hopLimit);
      socket.setRecvBufferSize(RECEIVE_BUFFER_SIZE);
      this.closedNetworks.delete(own.network);
      this.open.set(own.network, socket);
    });
  }
}
