// What the kernel knows of a network interface.

import { check, libc, openSocket } from "../../kernel/libc.ts";
import { AF_INET, SOCK_DGRAM } from "../../kernel/numbers.ts";

const SIOCGIFMTU = 0x8921n;
const SIOCGIFHWADDR = 0x8927n;
const SIOCGIFINDEX = 0x8933n;
/** struct ifreq: name, then a union. */
const IFREQ_SIZE = 40;
const NAME_SIZE = 16;

export interface InterfaceFacts {
  readonly name: string;
  readonly index: number;
  /** Six bytes. */
  readonly mac: Uint8Array;
  /** Largest IP packet, bytes. */
  readonly mtu: number;
}

/** Throws a SystemCallError (ENODEV) when there is no such interface. */
export function interfaceFacts(name: string): InterfaceFacts {
  const fd = openSocket(AF_INET, SOCK_DGRAM, 0);
  try {
    const request = (number: bigint) => {
      const bytes = new Uint8Array(IFREQ_SIZE);
      bytes.set(new TextEncoder().encode(name.slice(0, NAME_SIZE - 1)));
      check(`interface ${name}`, libc().ioctl(fd, number, bytes));
      return new DataView(bytes.buffer, NAME_SIZE);
    };
    const index = request(SIOCGIFINDEX).getInt32(0, true);
    const mtu = request(SIOCGIFMTU).getInt32(0, true);
    const hardware = request(SIOCGIFHWADDR);
    // Behind the address family.
    const mac = Uint8Array.from({ length: 6 }, (_, i) => hardware.getUint8(2 + i));
    return { name, index, mac, mtu };
  } finally {
    libc().close(fd);
  }
}
