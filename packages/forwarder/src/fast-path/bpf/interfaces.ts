// Interfaces as the programs know them: their MAC, by ifindex modulo the slots.
import { HoldfastError } from "@holdfast/model";
import type { Link } from "../../netlink/messages.ts";
import { INTERFACE, LIMITS } from "./abi.ts";
import { libbpf } from "./native.ts";

/** The links of the given names. Throws INTERFACE_MISSING, INTERFACE_NOT_ETHERNET. */
export function selectLinks(links: readonly Link[], names: readonly string[]): Link[] {
  return names.map((name) => {
    const link = links.find((candidate) => candidate.name === name);
    if (link === undefined) throw new HoldfastError("INTERFACE_MISSING", { interface: name });
    if (!link.ethernet || link.mac.length !== 6) {
      throw new HoldfastError("INTERFACE_NOT_ETHERNET", { interface: name });
    }
    return link;
  });
}

/** Throws INTERFACE_INDEX_CLASH when two interfaces share a slot. */
export function writeInterfaces(fd: number, links: readonly Link[]): void {
  const slots = new Map<number, Link>();
  for (const link of links) {
    const slot = link.index % LIMITS.INTERFACE_SLOT_COUNT;
    const other = slots.get(slot);
    if (other !== undefined && other.index !== link.index) {
      throw new HoldfastError("INTERFACE_INDEX_CLASH", { interface: link.name, other: other.name });
    }
    slots.set(slot, link);
  }
  for (const [slot, link] of slots) writeInterface(fd, slot, link.index, link.mac);
}

export function writeInterface(fd: number, slot: number, index: number, mac: Uint8Array): void {
  const key = Buffer.alloc(4);
  key.writeUInt32LE(slot);
  const value = Buffer.alloc(INTERFACE.SIZE);
  value.writeUInt32LE(index, INTERFACE.ifindex);
  value.set(mac, INTERFACE.mac);
  libbpf().update(fd, key, value, 0);
}
