// NAT ports between members: what the forwarder asks and answers (nat-ports/loans.ts), as requests of the
// node.
import type { LendAnswer, LoanMessage, PortLending } from "@holdfast/forwarder";
import {
  CLIENT_ADDRESS_COUNT_MAX,
  isAddress,
  type MemberList,
  type Members,
  memberNumberOfPort,
  type Place,
  takenNumbers,
} from "@holdfast/model";
import { LIST_VOTES } from "@holdfast/sync";
import { type ListMark, markFrom, markOf, mayVote } from "../members/list-mark.ts";
import type { ClusterLink } from "./link.ts";
import { encodeWords } from "./words.ts";

const TOPIC = "nat-port";
const NONE: readonly number[] = [];
const PORT_MAX = 65_535;
const TAG_MAX = 0xffff_ffff;
const SERVICE_LENGTH_MAX = 256;
/** By their number on the wire; append only. */
const ANSWERS: readonly LendAnswer[] = ["no", "yes", "elsewhere", "stale"];

/**
 * Members' votes are asked for with the mark of the list that they are counted under. One that does not read
 * it votes under the list of its file, which is no vote under a list that was changed.
 *
 * `reserved`: numbers that this member has voted for, and that nobody has yet. The same array while they are
 * the same.
 */
export function portLending(
  link: ClusterLink,
  members: Members,
  memberNumberCount: number,
  reserved: () => readonly number[] = () => NONE,
): PortLending {
  let of: MemberList | undefined;
  let withReserved: readonly number[] = NONE;
  let numbers = { members: NONE, taken: NONE, listed: NONE };
  // Asked for every port that comes or goes.
  const current = () => {
    const list = members.current();
    const more = reserved();
    if (list === of && more === withReserved) return numbers;
    const own = list.members.map(({ number }) => number).sort((a, b) => a - b);
    const listed = list === of ? numbers.listed : takenNumbers(list);
    of = list;
    withReserved = more;
    numbers = { members: own, taken: [...new Set([...listed, ...more])], listed };
    return numbers;
  };
  return {
    get memberNumbers() {
      return current().members;
    },
    get takenNumbers() {
      return current().taken;
    },
    get listedNumbers() {
      return current().listed;
    },
    get listVersion() {
      return members.current().version;
    },
    async request(member, message) {
      if (!link.connected().includes(member)) return undefined;
      const list = members.current();
      const readsMarks = link.capabilitiesOf(member)?.includes(LIST_VOTES) === true;
      const isVote =
        message.kind === "lend" && memberNumberOfPort(message.natPort, memberNumberCount) !== member;
      if (isVote && !readsMarks && list.version > 0) return undefined;
      const asked = isVote && readsMarks ? { ...message, list: markOf(list) } : message;
      const answer = await link.request(member, TOPIC, encodeWords(asked));
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
  members: Members,
  own: { readonly number: number; readonly memberNumberCount: number },
): void {
  const answerTo = (from: number, body: Uint8Array): LendAnswer => {
    const message = decodeLoanMessage(body);
    if (message === undefined) return "no";
    const { list, ...asked } = message;
    const isVote =
      asked.kind === "lend" && memberNumberOfPort(asked.natPort, own.memberNumberCount) !== own.number;
    if (isVote && !mayVote(members.current(), list)) return "stale";
    return forwarder.heardLoan(from, asked);
  };
  link.onRequest(TOPIC, (from, body) => Uint8Array.of(ANSWERS.indexOf(answerTo(from, body))));
  link.onDisconnect((member) => forwarder.lenderGone(member));
}

/**
 * Another member's message, a wish with the list that its votes are counted under; undefined when it is not
 * understood.
 */
export function decodeLoanMessage(
  body: Uint8Array,
): (LoanMessage & { readonly list?: ListMark }) | undefined {
  try {
    const value = JSON.parse(new TextDecoder().decode(body)) as Record<string, unknown> | null;
    if (typeof value !== "object" || value === null) return undefined;
    const place = placeOf(value);
    const { kind, clientTag } = value;
    if (place === undefined || !isNumber(clientTag, TAG_MAX)) return undefined;
    const asked = askOf(value);
    if (asked === undefined) return undefined;
    if (kind === "still") return { kind, clientTag, ...place };
    if (kind === "back") return { kind, clientTag, ...place, ...asked };
    if (kind !== "lend") return undefined;
    const { serviceId, source, listed, isRequired } = value;
    const list = markFrom(value["list"]);
    if (list === undefined && value["list"] !== undefined) return undefined;
    if (typeof serviceId !== "string" || serviceId.length > SERVICE_LENGTH_MAX) return undefined;
    if (!isAddress(source) || !Array.isArray(listed) || listed.length > CLIENT_ADDRESS_COUNT_MAX)
      return undefined;
    if (!listed.every(isAddress) || typeof isRequired !== "boolean") return undefined;
    const wish = { kind, clientTag, ...place, ...asked, serviceId, source, listed, isRequired } as const;
    return list === undefined ? wish : { ...wish, list };
  } catch {
    return undefined;
  }
}

function placeOf({ endpoint, endpointPort, natPort }: Record<string, unknown>): Place | undefined {
  if (!isAddress(endpoint) || !isNumber(endpointPort, PORT_MAX) || !isNumber(natPort, PORT_MAX))
    return undefined;
  return { endpoint, endpointPort, natPort };
}

/** The number of the question, where the member says it. */
function askOf({ ask }: Record<string, unknown>): { readonly ask?: number } | undefined {
  if (ask === undefined) return {};
  return isNumber(ask, Number.MAX_SAFE_INTEGER) ? { ask } : undefined;
}

function isNumber(value: unknown, max: number): value is number {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= max;
}
