// The machine of a member: ports on all networks, a kernel with a data plane and a neighbour table, a disk. Daemons live
// and die on it.

import type { FrameSender } from "@holdfast/announcer";
import { type MemberConfiguration, networkIdOf } from "@holdfast/coordinator/testing";
import type { ProbeChannel } from "@holdfast/forwarder";
import type { Link } from "@holdfast/forwarder/testing";
import { type Address, addressBytes, addressFromBytes } from "@holdfast/model";
import type { SystemInterface } from "@holdfast/node/testing";
import { encodeIp, IpHeader, PROTOCOL } from "@holdfast/sctp";
import type { SimulatedClock } from "../clock.ts";
import { INTERFACES } from "./configuration.ts";
import { nextMac } from "./host.ts";
import type { Life } from "./life.ts";
import { PinnedFastPath } from "./pinned-fast-path.ts";
import { SimulatedDisk } from "./slow-disk.ts";
import type { Frame, Port, Wire } from "./wire.ts";
import { memberAddress, type Network, networkOf } from "./world.ts";

const ETHERTYPE_ARP = 0x0806;
const PREFIX_LENGTH = 16;

export interface MachineOptions {
  /** Its place in the world, and its addresses; of nobody else, also when its number was another's before. */
  readonly index: number;
  readonly name: string;
  readonly number: number;
  readonly wire: Wire;
  readonly macs: Map<Address, number>;
  readonly nowMs: () => number;
  /** A packet leaves, or arrives; faults change it. */
  readonly outgoing: (packet: Uint8Array, machine: Machine) => Uint8Array;
  readonly incoming: (packet: Uint8Array, machine: Machine) => Uint8Array;
}

export class Machine {
  readonly index: number;
  readonly number: number;
  readonly name: string;
  readonly fastPath: PinnedFastPath;
  readonly disk = new SimulatedDisk();
  /** Without power nothing answers. */
  isOn = false;
  /** It has run before: it may come back with what it knew. */
  wasOn = false;
  /** Its configuration names no members: it learns the list from those that are there. */
  isJoining = false;
  /** It never runs again: it died for good, or was taken out of the list. */
  isGone = false;
  life: Life | undefined;
  /** Those that its configuration file has; all of them when absent. */
  endpointsInFile: readonly number[] | undefined;
  readonly #options: MachineOptions;
  readonly #ports = new Map<Network, Port>();
  readonly #withoutCarrier = new Set<Network>();
  readonly #watchers = new Set<() => void>();
  #probeListener: ((packet: Uint8Array) => void) | undefined;
  readonly #header = new IpHeader();

  constructor(options: MachineOptions) {
    this.#options = options;
    this.index = options.index;
    this.number = options.number;
    this.name = options.name;
    for (const { network, index } of INTERFACES) {
      const port: Port = {
        host: this.name,
        network,
        mac: nextMac(),
        receive: (frame, fromMac) => this.#receive(port, index, frame, fromMac),
      };
      this.#ports.set(network, port);
      options.wire.plug(port);
      options.macs.set(memberAddress(network, options.index), port.mac);
    }
    this.fastPath = new PinnedFastPath({
      nowMs: options.nowMs,
      transmit: (packet) => this.transmit(packet),
      divert: (index, mac, packet) => {
        const network = INTERFACES.find((i) => i.index === index)?.network;
        const out = network && this.#ports.get(network);
        if (out !== undefined) options.wire.send(out, macNumber(mac), { kind: "ip", packet });
      },
    });
  }

  // -------------------------------------------------------------------------------------------------------------
  // What a daemon on it sees.

  /** All interfaces, whatever their state. */
  get system(): ReadonlyMap<string, SystemInterface> {
    return new Map(INTERFACES.map((entry) => [entry.name, this.#systemInterface(entry)]));
  }

  readonly network = {
    interfaces: (): Map<string, SystemInterface> =>
      new Map(
        INTERFACES.filter(({ network }) => !this.#withoutCarrier.has(network)).map((entry) => [
          entry.name,
          this.#systemInterface(entry),
        ]),
      ),
    link: (name: string): Link | undefined => {
      const entry = INTERFACES.find((e) => e.name === name);
      if (entry === undefined) return undefined;
      const port = this.#ports.get(entry.network) as Port;
      return {
        index: entry.index,
        name,
        mac: macBytes(port.mac),
        mtu: 1_500,
        ethernet: true,
        loopback: false,
        up: true,
        carrier: !this.#withoutCarrier.has(entry.network),
        kind: undefined,
        isFar: false,
        physical: true,
        master: undefined,
        receiveDrops: 0,
        transmitDrops: 0,
      };
    },
    hopTo: (address: Address): { readonly interfaceIndex: number; readonly mac: Uint8Array } | undefined => {
      const mac = this.#options.macs.get(address);
      const entry = INTERFACES.find(({ network }) => network === networkOf(address));
      return mac === undefined || entry === undefined
        ? undefined
        : { interfaceIndex: entry.index, mac: macBytes(mac) };
    },
    isRoutable: (address: Address): boolean => networkOf(address) !== undefined,
    onChange: (listener: () => void): (() => void) => {
      this.#watchers.add(listener);
      return () => this.#watchers.delete(listener);
    },
  };

  frameSender(clock: SimulatedClock): FrameSender {
    return {
      send: (interfaceIndex, frame) => {
        const network = INTERFACES.find(({ index }) => index === interfaceIndex)?.network;
        const port = network && this.#ports.get(network);
        if (port === undefined || clock.stopped || !this.isOn) return false;
        const parsed = announcementOf(frame);
        if (parsed !== undefined) this.#options.wire.broadcast(port, parsed);
        return true;
      },
      close: () => {},
    };
  }

  probeChannel(clock: SimulatedClock): ProbeChannel {
    const own = memberAddress("core", this.index);
    return {
      send: (to, packet) => {
        if (clock.stopped || this.#withoutCarrier.has("core")) return false;
        this.transmit(
          encodeIp({ source: addressBytes(own), destination: addressBytes(to), payload: packet }),
        );
        return true;
      },
      onPacket: (listener) => {
        this.#probeListener = (packet) => void clock.after(0.05, () => listener(packet));
      },
      onUnreachable: () => {},
      close: () => {},
    };
  }

  sendProbe(datagram: (network: number) => Uint8Array, member: MemberConfiguration): void {
    for (const { network, address } of member.addresses) {
      const port = this.#ports.get(network as Network);
      const mac = this.#options.macs.get(address);
      if (port !== undefined && mac !== undefined && !this.#withoutCarrier.has(port.network))
        this.#options.wire.send(port, mac, { kind: "udp", bytes: datagram(networkIdOf(network)).slice() });
    }
  }

  // -------------------------------------------------------------------------------------------------------------

  /** The cable of a network is pulled, and the machine sees it; or put back. */
  setCarrier(network: Network, carrier: boolean): void {
    if (carrier) this.#withoutCarrier.delete(network);
    else this.#withoutCarrier.add(network);
    for (const watcher of [...this.#watchers]) watcher();
  }

  /** A daemon's watchers die with it. */
  forgetDaemon(): void {
    this.#watchers.clear();
    this.#probeListener = undefined;
  }

  transmit(packet: Uint8Array): void {
    if (!this.isOn) return;
    const bytes = this.#options.outgoing(packet, this);
    if (this.#header.read(bytes) !== undefined) return;
    const { destinationOffset, addressSize } = this.#header;
    const destination = addressFromBytes(bytes, destinationOffset, addressSize);
    const network = networkOf(destination);
    const port = network && this.#ports.get(network);
    const mac = this.#options.macs.get(destination);
    if (port === undefined || mac === undefined || this.#withoutCarrier.has(port.network)) return;
    this.#options.wire.send(port, mac, { kind: "ip", packet: bytes });
  }

  #receive(port: Port, interfaceIndex: number, frame: Frame, fromMac: number): void {
    if (!this.isOn || this.#withoutCarrier.has(port.network)) return;
    switch (frame.kind) {
      case "arpRequest":
        if (this.fastPath.isAlive && this.fastPath.owns(frame.target) && port.network !== "cluster")
          this.#options.wire.send(port, fromMac, { kind: "arp", address: frame.target, mac: port.mac });
        return;
      case "udp":
        this.life?.prober?.received(frame.bytes, port.network);
        return;
      case "ip": {
        const packet = this.#options.incoming(frame.packet, this);
        if (!this.fastPath.process(packet, interfaceIndex, macBytes(fromMac))) this.#toStack(packet);
      }
    }
  }

  /** The host's own stack: answers to health probes. */
  #toStack(packet: Uint8Array): void {
    if (this.#header.read(packet) !== undefined || this.#header.protocol !== PROTOCOL.SCTP) return;
    this.#probeListener?.(packet.slice(this.#header.payloadOffset, this.#header.end));
  }

  #systemInterface({ name, index, network }: (typeof INTERFACES)[number]): SystemInterface {
    const address = memberAddress(network, this.index);
    return {
      name,
      index,
      mac: macBytes((this.#ports.get(network) as Port).mac),
      addresses: [{ address, prefix: { bytes: addressBytes(address), bitCount: PREFIX_LENGTH } }],
    };
  }
}

function macBytes(mac: number): Uint8Array {
  return Uint8Array.of(2, 0, 0, 0, mac >> 8, mac & 0xff);
}

function macNumber(mac: Uint8Array): number {
  return ((mac[4] as number) << 8) | (mac[5] as number);
}

/** A gratuitous ARP as the announcer makes it: sender's MAC at 22, its address at 28 (RFC 826). */
function announcementOf(frame: Uint8Array): Frame | undefined {
  if (frame.length < 42 || ((frame[12] as number) << 8) + (frame[13] as number) !== ETHERTYPE_ARP)
    return undefined;
  return { kind: "arp", address: addressFromBytes(frame, 28, 4), mac: macNumber(frame.subarray(22, 28)) };
}
