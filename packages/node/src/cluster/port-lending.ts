// NAT ports between members: what the forwarder asks and answers (nat-ports/loans.ts), as requests of the node.
import type { LendAnswer, LoanMessage, PortLending } from "@holdfast/forwarder";
import {
  CLIENT_ADDRESS_COUNT_MAX,
  type MemberList,
  type Members,
  type Place,
  parseAddress,
  takenNumbers,
} from "@holdfast/model";
import type { ClusterLink } from "./link.ts";

const TOPIC = "nat-port";
const NONE: readonly number[] = [];
const PORT_MAX = 65_535;
const TAG_MAX = 0xffff_ffff;
const SERVICE_LENGTH_MAX = 256;
/** By their number on the wire; append only. */
const ANSWERS: readonly LendAnswer[] = ["no", "yes", "elsewhere"];

/** `reserved`: numbers that this member has voted for, and that nobody has yet. The same array while they are the same. */
export function portLending(
  link: ClusterLink,
  members: Members,
  reserved: () => readonly number[] = () => NONE,
): PortLending {
  let of: MemberList | undefined;
  let withReserved: readonly number[] = NONE;
  let numbers: { readonly members: readonly number[]; readonly taken: readonly number[] } = {
    members: NONE,
    taken: NONE,
  };
  // Asked for every port that comes or goes.
  const current = () => {
    const list = members.current();
    const more = reserved();
    if (list === of && more === withReserved) return numbers;
    of = list;
    withReserved = more;
    const own = list.members.map(({ number }) => number).sort((a, b) => a - b);
    numbers = { members: own, taken: [...new Set([...takenNumbers(list), ...more])] };
    return numbers;
  };
  return {
    get memberNumbers() {
      return current().members;
    },
    get takenNumbers() {
      return current().taken;
    },
    async request(member, message) {
      if (!link.connected().includes(member)) return undefined;
      const answer = await link.request(member, TOPIC, new TextEncoder().encode(JSON.stringify(message)));
      return ANSWERS[answer?.[0] ?? -1];
    },
  };
}

/** Other members' questions go to the forwarder. */
export function serveLending(
  link: ClusterLink,
  forwarder: {
    heardLoan(from: number, message: LoanMessage): LendAnswer;
    lenderGone(member: number): void;
  },
): void {
  link.onRequest(TOPIC, (from, body) => {
    const message = decodeLoanMessage(body);
    return Uint8Array.of(ANSWERS.indexOf(message === undefined ? "no" : forwarder.heardLoan(from, message)));
  });
  link.onDisconnect((member) => forwarder.lenderGone(member));
}

/** Another member's message; undefined when it is not understood. */
export function decodeLoanMessage(body: Uint8Array): LoanMessage | undefined {
  try {
    const value = JSON.parse(new TextDecoder().decode(body)) as Record<string, unknown> | null;
    if (typeof value !== "object" || value === null) return undefined;
    const place = placeOf(value);
    const { kind, clientTag } = value;
    if (place === undefined || !isNumber(clientTag, TAG_MAX)) return undefined;
    if (kind === "back" || kind === "still") return { kind, clientTag, ...place };
    if (kind !== "lend") return undefined;
    const { serviceId, source, listed, isRequired } = value;
    if (typeof serviceId !== "string" || serviceId.length > SERVICE_LENGTH_MAX) return undefined;
    if (!isAddress(source) || !Array.isArray(listed) || listed.length > CLIENT_ADDRESS_COUNT_MAX)
      return undefined;
    if (!listed.every(isAddress) || typeof isRequired !== "boolean") return undefined;
    return { kind, clientTag, ...place, serviceId, source, listed, isRequired };
  } catch {
    return undefined;
  }
}

function placeOf({ endpoint, endpointPort, natPort }: Record<string, unknown>): Place | undefined {
  if (!isAddress(endpoint) || !isNumber(endpointPort, PORT_MAX) || !isNumber(natPort, PORT_MAX))
    return undefined;
  return { endpoint, endpointPort, natPort };
}

function isNumber(value: unknown, max: number): value is number {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= max;
}

function isAddress(value: unknown): value is string {
  try {
    return typeof value === "string" && parseAddress(value) === value;
  } catch {
    return false;
  }
}
