// VIPs, their ports and the endpoints, kept in the maps as they were last set: only differences are written.

import { type Address, addressBytes, type Logger, silentLogger } from "@holdfast/model";
import type { FastPathEndpoint, LocalAddress, ProtocolPort } from "../port.ts";
import { LOCAL, LOCAL_FLAG, PORT_KEY, PORT_KIND, PORT_LIST } from "./abi.ts";
import { AllowedLists } from "./allowed-lists.ts";
import { SyncedMap } from "./synced-map.ts";

/** Beside each endpoint: its port at any address. */
const ANY_ADDRESS = Buffer.alloc(16);
const ANYBODY = portValue(PORT_LIST.NONE);

/** Both families in 16 bytes, as the maps key on them. */
export function mappedAddress(address: Address): Buffer {
  const bytes = addressBytes(address);
  if (bytes.length === 16) return Buffer.from(bytes);
  const mapped = Buffer.alloc(16);
  mapped.writeUInt16BE(0xffff, 10);
  mapped.set(bytes, 12);
  return mapped;
}

/** An interface of this host as a way to a successor. */
export interface WayOut {
  readonly mac: Uint8Array;
  /** XDP may send to it. */
  readonly xdp: boolean;
}

export class LocalTables {
  readonly #local: SyncedMap;
  readonly #ports: SyncedMap;
  readonly #lists: AllowedLists;
  readonly #wayOut: (interfaceIndex: number) => WayOut | undefined;
  #given: readonly LocalAddress[] = [];
  #addresses: readonly Address[] = [];
  #services = new Map<string, Buffer>();
  #endpoints = new Map<string, Buffer>();

  constructor(
    fds: { readonly local: number; readonly ports: number; readonly allowed: number },
    wayOut: (interfaceIndex: number) => WayOut | undefined,
    log: Logger = silentLogger,
  ) {
    this.#local = new SyncedMap(fds.local, 16);
    this.#ports = new SyncedMap(fds.ports, PORT_KEY.SIZE);
    this.#lists = new AllowedLists(fds.allowed, log);
    this.#wayOut = wayOut;
  }

  /** Returns the addresses that are not local any more. */
  setLocal(addresses: readonly LocalAddress[]): Set<Address> {
    this.#given = addresses;
    const gone = new Set(this.#addresses);
    this.#addresses = addresses.map(({ address }) => address);
    for (const address of this.#addresses) gone.delete(address);
    const wanted = new Map<string, Buffer>();
    this.#services = new Map();
    const lists = this.#lists.begin();
    for (const local of addresses) {
      const key = mappedAddress(local.address);
      wanted.set(key.toString("latin1"), this.#localValue(local));
      for (const served of local.ports) {
        const list = served.allowedSources && lists.numberOf(served.allowedSources);
        const value = list === undefined ? ANYBODY : portValue(list);
        this.#services.set(portKey(key, served, PORT_KIND.SERVICE).toString("latin1"), value);
      }
    }
    // Lists before the ports that have them, and away after none has them: nobody is kept out in between.
    lists.write();
    // Ports first: a VIP that is known before its ports would drop what it is asked for.
    this.#setPorts();
    this.#local.set(wanted);
    lists.settle();
    return gone;
  }

  /** The ways out have changed. */
  refresh(): void {
    this.setLocal(this.#given);
  }

  setEndpoints(endpoints: readonly FastPathEndpoint[]): void {
    this.#endpoints = new Map();
    for (const endpoint of endpoints) {
      const key = portKey(mappedAddress(endpoint.address), endpoint, PORT_KIND.ENDPOINT);
      this.#endpoints.set(key.toString("latin1"), ANYBODY);
      this.#endpoints.set(portKey(ANY_ADDRESS, endpoint, PORT_KIND.ENDPOINT).toString("latin1"), ANYBODY);
    }
    this.#setPorts();
  }

  #setPorts(): void {
    this.#ports.set(new Map([...this.#services, ...this.#endpoints]));
  }

  #localValue(local: LocalAddress): Buffer {
    const value = Buffer.alloc(LOCAL.SIZE);
    let flags = (local.owned ? LOCAL_FLAG.OWNED : 0) | (local.lone === true ? LOCAL_FLAG.LONE : 0);
    const way = local.successor && this.#wayOut(local.successor.interfaceIndex);
    if (local.successor !== undefined && way !== undefined) {
      flags |= LOCAL_FLAG.SUCCESSOR | (way.xdp ? LOCAL_FLAG.SUCCESSOR_XDP : 0);
      value.writeUInt32LE(local.successor.interfaceIndex, LOCAL.successorIfindex);
      value.set(local.successor.mac, LOCAL.successorMacs);
      value.set(way.mac, LOCAL.successorMacs + 6);
    }
    value.writeUInt32LE(flags, LOCAL.flags);
    return value;
  }
}

function portValue(list: number): Buffer {
  const value = Buffer.alloc(4);
  value.writeUInt32LE(list);
  return value;
}

function portKey(address: Uint8Array, { protocol, port }: ProtocolPort, kind: number): Buffer {
  const key = Buffer.alloc(PORT_KEY.SIZE);
  key.set(address, PORT_KEY.address);
  key.writeUInt16BE(port, PORT_KEY.port);
  key.writeUInt16LE(kind, PORT_KEY.kind);
  key.writeUInt8(protocol, PORT_KEY.protocol);
  return key;
}
