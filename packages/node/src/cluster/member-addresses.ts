// The addresses of all members' interfaces, live: this host's as the kernel tells them, the others' as they
// tell them over their links, and what the configuration says of members that are not there. One source for
// what is nobody's VIP, and for what is no client's address.
import {
  type Address,
  type AddressBook,
  type AddressHolder,
  addressBytes,
  addressFromBytes,
  type Clock,
  canonicalAddress,
  familyOf,
  type MemberName,
  type Members,
} from "@holdfast/model";
import type { HostAddress, HostGateway } from "../network/interfaces.ts";
import type { ClusterLink } from "./link.ts";
import type { MemberDirectory } from "./members.ts";
import { decodeWords } from "./words.ts";

const TOPIC = "addresses";
/** Of one member; a host with kube-ipvs0 has hundreds. What is beyond is not told. */
export const ADDRESS_COUNT_MAX = 4_096;
export const GATEWAY_COUNT_MAX = 64;
/**
 * kube-proxy in IPVS mode keeps the addresses of all services on this interface, those of load balancers too:
 * they are copies of VIPs, not addresses of the host.
 */
const COPIES_INTERFACE = "kube-ipvs0";
const INTERFACE_NAME_LENGTH_MAX = 32;
/** Gateways, and what events may have been lost, are looked at so often. */
const LOOK_PERIOD_MS = 1_000;

export interface MemberAddressesOptions {
  readonly self: MemberName;
  readonly network: {
    hostAddresses(): readonly HostAddress[];
    defaultGateways(): readonly HostGateway[];
    onChange(listener: () => void): () => void;
  };
  readonly link: Pick<ClusterLink, "request" | "onRequest" | "onConnect" | "connected">;
  readonly directory: Pick<MemberDirectory, "nameOf">;
  /** What the list says stands for those that have not spoken. */
  readonly members: Members;
  readonly clock: Clock;
}

interface Told {
  readonly addresses: readonly HostAddress[];
  readonly gateways: readonly HostGateway[];
}

export class MemberAddresses implements AddressBook {
  readonly #options: MemberAddressesOptions;
  readonly #told = new Map<MemberName, Told>();
  readonly #listeners = new Set<() => void>();
  readonly #closers: (() => void)[] = [];
  #own: Told = { addresses: [], gateways: [] };
  #ownText = "";
  /** By member's number: what it has said that it holds. */
  readonly #heldBy = new Map<number, string>();
  readonly #telling = new Set<number>();
  #holders: ReadonlyMap<Address, AddressHolder> = new Map();
  #interfaces: ReadonlySet<Address> = new Set();

  constructor(options: MemberAddressesOptions) {
    this.#options = options;
    const { network, link, directory, clock, members } = options;
    link.onRequest(TOPIC, (from, body) => {
      const told = decodeAddresses(body);
      if (told !== undefined) {
        this.#told.set(directory.nameOf(from), told);
        this.#derive();
      }
      return new Uint8Array(0);
    });
    link.onConnect((member) => {
      this.#heldBy.delete(member);
      void this.#tell(member);
    });
    this.#closers.push(network.onChange(() => this.#look()));
    const timer = clock.every(LOOK_PERIOD_MS, () => this.#look());
    this.#closers.push(() => timer.cancel());
    this.#closers.push(
      members.subscribe(({ members: now }) => {
        for (const name of this.#told.keys())
          if (!now.some((member) => member.name === name)) this.#told.delete(name);
        this.#derive();
      }),
    );
    this.#look();
  }

  /** An interface of this member has it. */
  ownHolderOf(address: Address): AddressHolder | undefined {
    const holder = this.#holders.get(address);
    return holder?.member === this.#options.self && holder.as === "interface" ? holder : undefined;
  }

  /** Of several the interface of this member, then another's, then what is no interface's. */
  holderOf(address: Address): AddressHolder | undefined {
    return this.#holders.get(address);
  }

  /** Whether some member's interface has it: what comes from there is no client's. */
  isMembers(address: Address): boolean {
    return this.#interfaces.has(address);
  }

  /** Called when any of it has changed. */
  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  close(): void {
    for (const close of this.#closers.splice(0)) close();
  }

  #look(): void {
    const { network, link } = this.#options;
    const addresses = network.hostAddresses().filter(({ address }) => !isLinkLocal(address));
    const own: Told = {
      addresses: addresses.slice(0, ADDRESS_COUNT_MAX),
      gateways: network.defaultGateways().slice(0, GATEWAY_COUNT_MAX),
    };
    const text = JSON.stringify(own);
    if (text !== this.#ownText) {
      this.#own = own;
      this.#ownText = text;
      this.#derive();
    }
    for (const member of link.connected()) void this.#tell(member);
  }

  /**
   * Unless it holds what is true now. One that does not answer, a booting one for example, is told again a
   * second later.
   */
  async #tell(member: number): Promise<void> {
    const text = this.#ownText;
    if (this.#heldBy.get(member) === text || this.#telling.has(member)) return;
    this.#telling.add(member);
    try {
      const answer = await this.#options.link.request(member, TOPIC, new TextEncoder().encode(text));
      if (answer !== undefined) this.#heldBy.set(member, text);
    } finally {
      this.#telling.delete(member);
    }
  }

  #derive(): void {
    const holders = new Map<Address, AddressHolder>();
    const interfaces = new Set<Address>();
    const { self, members } = this.#options;
    const told = new Map([...this.#told].filter(([name]) => name !== self));
    const all: [MemberName, Told][] = [[self, this.#own], ...told];
    for (const [member, { addresses }] of all)
      for (const { address, interface: name } of addresses) {
        interfaces.add(address);
        if (!holders.has(address) && name !== COPIES_INTERFACE)
          holders.set(address, { member, as: "interface", interface: name });
      }
    // Who has spoken knows better than the configuration; a link may be up before its addresses are told.
    for (const { name, addresses } of members.current().members)
      for (const { address } of addresses) {
        interfaces.add(address);
        if (!holders.has(address)) holders.set(address, { member: name, as: "interface", interface: "" });
      }
    for (const [member, { gateways }] of all)
      for (const { address, interface: name } of gateways)
        if (!holders.has(address)) holders.set(address, { member, as: "gateway", interface: name });
    for (const [member, { addresses }] of all)
      for (const host of addresses)
        for (const address of broadcastsOf(host))
          if (!holders.has(address))
            holders.set(address, { member, as: "broadcast", interface: host.interface });
    this.#holders = holders;
    this.#interfaces = interfaces;
    for (const listener of [...this.#listeners]) listener();
  }
}

/** Names no host beyond its link, and is no VIP anyway. */
function isLinkLocal(address: Address): boolean {
  return address.startsWith("fe80:") || address.startsWith("169.254.");
}

/** The first and the last address of an IPv4 network with more than two (RFC 919, RFC 3021). */
function broadcastsOf({ address, prefixLength }: HostAddress): Address[] {
  if (familyOf(address) === 6 || prefixLength < 1 || prefixLength > 30) return [];
  const bytes = addressBytes(address);
  const view = new DataView(bytes.buffer, bytes.byteOffset, 4);
  const hosts = 2 ** (32 - prefixLength);
  const first = Math.floor(view.getUint32(0) / hosts) * hosts;
  return [first, first + hosts - 1].map((number) => {
    const edge = new Uint8Array(4);
    new DataView(edge.buffer).setUint32(0, number);
    return addressFromBytes(edge);
  });
}

/** Another member's message; what is not understood is left out. undefined: it is none. */
export function decodeAddresses(bytes: Uint8Array): Told | undefined {
  const parsed = decodeWords(bytes);
  if (typeof parsed !== "object" || parsed === null) return undefined;
  const { addresses, gateways } = parsed as { addresses?: unknown; gateways?: unknown };
  if (!Array.isArray(addresses) || !Array.isArray(gateways)) return undefined;
  const read = (entry: Partial<HostAddress> | null): HostAddress[] => {
    const text = entry?.address;
    const address = typeof text === "string" ? canonicalAddress(text) : undefined;
    if (address === undefined) return [];
    const length = entry?.prefixLength;
    const name = entry?.interface;
    return [
      {
        address,
        prefixLength: Number.isInteger(length) ? Math.max(0, Math.min(128, length as number)) : 128,
        interface: typeof name === "string" ? name.slice(0, INTERFACE_NAME_LENGTH_MAX) : "",
      },
    ];
  };
  return {
    addresses: addresses.slice(0, ADDRESS_COUNT_MAX).flatMap(read),
    gateways: gateways
      .slice(0, GATEWAY_COUNT_MAX)
      .flatMap(read)
      .map(({ address, interface: name }) => ({ address, interface: name })),
  };
}
