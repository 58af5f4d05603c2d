// Interfaces as the programs know them: their MAC, by ifindex modulo the slots.

import { HoldfastError } from "@holdfast/model";
import { libbpf } from "../../kernel/libbpf.ts";
import type { Link } from "../../netlink/messages.ts";
import { INTERFACE, LIMITS } from "./abi.ts";

export class InterfaceSlots {
  readonly #fd: number;
  readonly #taken = new Map<number, Link>();

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Throws INTERFACE_INDEX_CLASH when another interface has the slot. */
  take(link: Link): void {
    const slot = slotOf(link.index);
    const other = this.#taken.get(slot);
    if (other !== undefined && other.index !== link.index) {
      throw new HoldfastError("INTERFACE_INDEX_CLASH", { interface: link.name, other: other.name });
    }
    this.#taken.set(slot, link);
  }

  /** Of an interface that has taken its slot. `flags` of enum hf_interface_flag. */
  write(link: Link, flags: number): void {
    const value = Buffer.alloc(INTERFACE.SIZE);
    value.writeUInt32LE(link.index, INTERFACE.ifindex);
    value.set(link.mac, INTERFACE.mac);
    value.writeUInt16LE(flags, INTERFACE.flags);
    libbpf().update(this.#fd, keyOf(slotOf(link.index)), value, 0);
  }

  leave(interfaceIndex: number): void {
    const slot = slotOf(interfaceIndex);
    if (this.#taken.get(slot)?.index !== interfaceIndex) return;
    this.#taken.delete(slot);
    libbpf().update(this.#fd, keyOf(slot), Buffer.alloc(INTERFACE.SIZE), 0);
  }
}

function slotOf(interfaceIndex: number): number {
  return interfaceIndex % LIMITS.INTERFACE_SLOT_COUNT;
}

function keyOf(slot: number): Buffer {
  const key = Buffer.alloc(4);
  key.writeUInt32LE(slot);
  return key;
}
