// A classic socket filter: only ARP, IPv6 multicast (neighbour solicitations are) and packets for local
// addresses are copied into the rings: TCP and UDP into one, the rest into the other. Classic filters need no
// BPF permission.

import { PROTOCOL } from "@holdfast/sctp";
import { addressOf, setOption } from "../../kernel/libc.ts";
import { SOL_SOCKET } from "../../kernel/numbers.ts";

const SO_ATTACH_FILTER = 26;
/** The kernel's BPF_MAXINSNS. */
const INSTRUCTION_COUNT_MAX = 4096;

// BPF_LD | BPF_W | BPF_ABS and friends.
const LOAD_WORD = 0x20;
const LOAD_HALF = 0x28;
const LOAD_BYTE = 0x30;
const JUMP = 0x05;
const JUMP_EQUAL = 0x15;
const RETURN = 0x06;

const ETHER_TYPE_OFFSET = 12;
const IPV4_PROTOCOL = 14 + 9;
const IPV4_DESTINATION = 14 + 16;
const IPV6_NEXT_HEADER = 14 + 6;
const IPV6_DESTINATION = 14 + 24;

type Instruction = readonly [code: number, whenTrue: number, whenFalse: number, operand: number];

const ACCEPT: Instruction = [RETURN, 0, 0, 0x40000];
const REFUSE: Instruction = [RETURN, 0, 0, 0];

/** TCP and UDP right behind the IP header, or all else. */
export type Share = "plain" | "others";

/** Goes on with packets of the share alone. */
function ofShare(share: Share, protocolOffset: number): readonly Instruction[] {
  const isTcp: Instruction = [JUMP_EQUAL, 1, 0, PROTOCOL.TCP];
  const load: Instruction = [LOAD_BYTE, 0, 0, protocolOffset];
  return share === "others"
    ? [load, isTcp, [JUMP_EQUAL, 0, 1, PROTOCOL.UDP], REFUSE]
    : [load, isTcp, [JUMP_EQUAL, 0, 1, PROTOCOL.UDP], [JUMP, 0, 0, 1], REFUSE];
}

/** The program that accepts the share's packets to these addresses (4 or 16 bytes each). */
export function filterProgram(addresses: readonly Uint8Array[], share: Share): readonly Instruction[] {
  const program = programOf(addresses, share);
  // More addresses than fit: the engine has to look at everything.
  return program.length <= INSTRUCTION_COUNT_MAX ? program : programOf(undefined, share);
}

/** Without addresses it accepts packets to all. */
function programOf(addresses: readonly Uint8Array[] | undefined, share: Share): readonly Instruction[] {
  const general = share === "others" ? ACCEPT : REFUSE;
  const words = (address: Uint8Array) => {
    const view = new DataView(address.buffer, address.byteOffset);
    return Array.from({ length: address.length / 4 }, (_, i) => view.getUint32(i * 4));
  };
  const ipv4: Instruction[] = [...ofShare(share, IPV4_PROTOCOL), [LOAD_WORD, 0, 0, IPV4_DESTINATION]];
  const ipv6: Instruction[] = [
    ...([[LOAD_BYTE, 0, 0, IPV6_DESTINATION], [JUMP_EQUAL, 0, 1, 0xff], general] as const),
    ...ofShare(share, IPV6_NEXT_HEADER),
  ];
  for (const address of addresses ?? []) {
    if (address.length === 4) {
      ipv4.push([JUMP_EQUAL, 0, 1, words(address)[0] as number], ACCEPT);
    } else {
      words(address).forEach((word, i) => {
        // A difference skips the remaining words and the ACCEPT behind them.
        ipv6.push([LOAD_WORD, 0, 0, IPV6_DESTINATION + i * 4], [JUMP_EQUAL, 0, (3 - i) * 2 + 1, word]);
      });
      ipv6.push(ACCEPT);
    }
  }
  const otherwise = addresses === undefined ? ACCEPT : REFUSE;
  ipv4.push(otherwise);
  ipv6.push(otherwise);
  return [
    [LOAD_HALF, 0, 0, ETHER_TYPE_OFFSET],
    [JUMP_EQUAL, 0, 1, 0x0806],
    general,
    [JUMP_EQUAL, 1, 0, 0x0800],
    [JUMP, 0, 0, ipv4.length],
    ...ipv4,
    [JUMP_EQUAL, 1, 0, 0x86dd],
    REFUSE,
    ...ipv6,
  ];
}

/** Attaches the filter, in place of one that is there. */
export function attachFilter(fd: number, addresses: readonly Uint8Array[], share: Share): void {
  const instructions = filterProgram(addresses, share);
  const code = new Uint8Array(instructions.length * 8);
  const view = new DataView(code.buffer);
  instructions.forEach(([operation, whenTrue, whenFalse, operand], i) => {
    view.setUint16(i * 8, operation, true);
    view.setUint8(i * 8 + 2, whenTrue);
    view.setUint8(i * 8 + 3, whenFalse);
    view.setUint32(i * 8 + 4, operand, true);
  });
  // struct sock_fprog: a count, and where the program lies.
  const program = new Uint8Array(16);
  const header = new DataView(program.buffer);
  header.setUint16(0, instructions.length, true);
  header.setBigUint64(8, addressOf(code), true);
  setOption(fd, SOL_SOCKET, SO_ATTACH_FILTER, program);
}
