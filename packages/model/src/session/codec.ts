// The compact form of records and deltas, and at once their canonical form: equal records have equal bytes, whatever
// the order in which their maps were filled. A record takes 100–250 bytes.
//
//   record     = id(16) flags(1) [identity] [createdAt] [clients] [generations] [commit] [heard] [activity] [end]
//   identity   = protocol(1) service clientPort(2)
//   service    = 4 ipv4(4) port(2) | 6 ipv6(16) port(2) | 0 text
//   address    = 0 text | 4 ipv4(4) | 6 ipv6(16) | 16+i: the i-th address written in full before (i < 224)
//   generation = tag(4) ordinal flags(1: phase, aborted) arrivalVip(1) source listed pairing candidates
//   candidate  = member flags(1: echoed) endpoint endpointPort(2) natPort(2) tag(4) addresses
//   commit     = epoch tag(4) candidate(index | 255 identity | 254 text) (0 | 1: as listed | 2 generation)
// Numbers without a width are varints; lists have a count byte before them. Numbers of kinds are append-only.
//
// Decoding is total: any bytes give a delta within the bounds, or the reason why not.
import { type Address, IPV6_ADDRESS_SIZE } from "../address.ts";
import { PROTOCOL_SCTP, serviceIdOf } from "../service.ts";
import { ByteReader, ByteWriter, ipv4Of, ipv4Text, ipv6Of } from "./bytes.ts";
import { type CandidateIdentity, candidateKeyOf, parseCandidateKey } from "./candidate.ts";
import { joinGeneration, ordinalOf } from "./generation.ts";
import { sessionIdToBytes } from "./identity.ts";
import { compareText } from "./order.ts";
import {
  CANDIDATE_COUNT_MAX,
  type Candidate,
  CLIENT_ADDRESS_COUNT_MAX,
  type Commit,
  ENDPOINT_ADDRESS_COUNT_MAX,
  type End,
  type EndCause,
  type Generation,
  type Heard,
  PENDING_GENERATION_COUNT_MAX,
  PHASES,
  type Phase,
  type SessionDelta,
  type SessionRecord,
  type Tag,
} from "./record.ts";

/** Append-only: positions are on the wire. */
const CAUSES: readonly EndCause[] = [
  "shutdown",
  "abortByClient",
  "abortByEndpoint",
  "operator",
  "endpointDown",
  "endpointRemoved",
  "superseded",
  "idle",
  "handshakeTimeout",
];

const FLAGS_OFFSET = 16;
const HAS_IDENTITY = 1;
const HAS_CREATED = 2;
const HAS_CLIENTS = 4;
const HAS_GENERATIONS = 8;
const HAS_COMMIT = 16;
const HAS_HEARD = 32;
const HAS_ACTIVITY = 64;
const HAS_END = 128;

const ADDRESS_TEXT = 0;
const ADDRESS_IPV4 = 4;
const ADDRESS_IPV6 = 6;
const ADDRESS_BACK = 16;
const ADDRESS_BACK_COUNT_MAX = 224;

const COMMIT_EXPLICIT = 255;
const COMMIT_TEXT = 254;

const TEXT_LENGTH_MAX = 255;
const VIP_INDEX_MAX = 3;
/** Addresses of one list (INIT's list, pairing). Longer lists are cut when they are made; see CLIENT_ADDRESS_COUNT_MAX. */
const LIST_COUNT_MAX = 64;
/** Bytes of one record. Longer ones are malformed. */
export const RECORD_BYTES_MAX = 16 * 1024;
const NEVER = Number.MAX_SAFE_INTEGER;

const scratch = new ByteWriter();

/** The canonical bytes of a record or delta: bottom values (empty, 0, undefined) leave no trace. */
export function encodeSession(delta: SessionDelta): Uint8Array {
  scratch.clear();
  writeSession(scratch, delta);
  return scratch.copy();
}

/** Appends the canonical bytes of a record or delta. */
export function writeSession(out: ByteWriter, delta: SessionDelta): void {
  const addresses: Address[] = [];
  out.bytes(sessionIdToBytes(delta.id, ID_SCRATCH));
  const flagsAt = out.length;
  out.u8(0);
  let flags = 0;
  if (delta.serviceId !== undefined && delta.serviceId !== "") {
    flags |= HAS_IDENTITY;
    out.u8(delta.protocol ?? PROTOCOL_SCTP);
    writeService(out, delta.serviceId);
    out.u16(delta.clientPort ?? 0);
  }
  if (delta.createdAtMs !== undefined && delta.createdAtMs !== NEVER) {
    flags |= HAS_CREATED;
    out.varint(delta.createdAtMs);
  }
  if (delta.clients !== undefined && delta.clients.size > 0) {
    flags |= HAS_CLIENTS;
    const clients = sortedKeys(delta.clients);
    const count = Math.min(clients.length, CLIENT_ADDRESS_COUNT_MAX);
    out.u8(count);
    for (let i = 0; i < count; i++) {
      const address = clients[i] as Address;
      writeAddress(out, address, addresses);
      out.u8(delta.clients.get(address) === true ? 1 : 0);
    }
  }
  if (delta.generations !== undefined && delta.generations.size > 0) {
    flags |= HAS_GENERATIONS;
    out.u8(delta.generations.size);
    if (delta.generations.size === 1) {
      for (const generation of delta.generations.values()) writeGeneration(out, generation, addresses);
    } else {
      const generations = [...delta.generations.values()].sort((a, b) => a.clientTag - b.clientTag);
      for (const generation of generations) writeGeneration(out, generation, addresses);
    }
  }
  if (delta.commit !== undefined) {
    flags |= HAS_COMMIT;
    writeCommit(out, delta.commit, delta.generations?.get(delta.commit.clientTag), addresses);
  }
  if (delta.heard !== undefined && delta.heard.size > 0) {
    flags |= HAS_HEARD;
    const heard = [...delta.heard].sort(([a], [b]) => a - b);
    out.u8(heard.length);
    for (const [vip, { address, stamp, member }] of heard) {
      out.u8(vip);
      writeAddress(out, address, addresses);
      out.varint(stamp);
      out.varint(member);
    }
  }
  if (delta.activity !== undefined && delta.activity > 0) {
    flags |= HAS_ACTIVITY;
    out.varint(delta.activity);
  }
  if (delta.end !== undefined) {
    flags |= HAS_END;
    writeEnd(out, delta.end);
  }
  out.patch(flagsAt, flags);
}

function writeEnd(out: ByteWriter, { cause, absorbing, epochSeen, phaseSeen, activitySeen }: End): void {
  out.u8(CAUSES.indexOf(cause));
  out.u8((PHASES.indexOf(phaseSeen) << 1) | (absorbing ? 1 : 0));
  out.varint(epochSeen);
  out.varint(activitySeen);
}

/** Appends what `bytes`, a record without an end, become with one: the end is the last thing of a record. */
export function writeWithEnd(out: ByteWriter, bytes: Uint8Array, end: End): void {
  const at = out.length;
  out.bytes(bytes);
  out.patch(at + FLAGS_OFFSET, (bytes[FLAGS_OFFSET] as number) | HAS_END);
  writeEnd(out, end);
}

const ID_SCRATCH = new Uint8Array(16);

/** Services are few and records many: what was written last is mostly written again. */
let lastServiceId = "";
let lastServiceBytes: Uint8Array = new Uint8Array(0);

function writeService(out: ByteWriter, serviceId: string): void {
  if (serviceId !== lastServiceId) {
    const at = out.length;
    writeServiceAnew(out, serviceId);
    lastServiceId = serviceId;
    lastServiceBytes = out.copy(at);
    return;
  }
  out.bytes(lastServiceBytes);
}

function writeServiceAnew(out: ByteWriter, serviceId: string): void {
  const match = /^sctp\/(?:\[([0-9a-f:]+)\]|([0-9.]+)):([1-9][0-9]{0,4})$/.exec(serviceId);
  const port = Number(match?.[3]);
  if (match !== null && port <= 65535) {
    if (match[2] !== undefined) {
      const value = ipv4Of(match[2]);
      if (value >= 0) {
        out.u8(ADDRESS_IPV4);
        out.u32(value);
        out.u16(port);
        return;
      }
    } else {
      const ipv6 = ipv6Of(match[1] as string);
      if (ipv6 !== undefined) {
        out.u8(ADDRESS_IPV6);
        out.bytes(ipv6);
        out.u16(port);
        return;
      }
    }
  }
  out.u8(ADDRESS_TEXT);
  out.text(serviceId);
}

function writeAddress(out: ByteWriter, address: Address, written: Address[]): void {
  const index = written.indexOf(address);
  if (index >= 0) {
    out.u8(ADDRESS_BACK + index);
    return;
  }
  if (written.length < ADDRESS_BACK_COUNT_MAX) written.push(address);
  const ipv4 = ipv4Of(address);
  if (ipv4 >= 0) {
    out.u8(ADDRESS_IPV4);
    out.u32(ipv4);
    return;
  }
  const ipv6 = ipv6Of(address);
  if (ipv6 !== undefined) {
    out.u8(ADDRESS_IPV6);
    out.bytes(ipv6);
    return;
  }
  out.u8(ADDRESS_TEXT);
  out.text(address);
}

function writeList(out: ByteWriter, list: readonly Address[], written: Address[]): void {
  const count = Math.min(list.length, LIST_COUNT_MAX);
  out.u8(count);
  for (let i = 0; i < count; i++) writeAddress(out, list[i] as Address, written);
}

function sortedKeys(map: ReadonlyMap<string, unknown>): string[] {
  const keys = new Array<string>(map.size);
  let count = 0;
  let isSorted = true;
  for (const key of map.keys()) {
    if (count > 0 && compareText(keys[count - 1] as string, key) > 0) isSorted = false;
    keys[count++] = key;
  }
  return isSorted ? keys : keys.sort(compareText);
}

function writeGeneration(out: ByteWriter, generation: Generation, written: Address[]): void {
  out.u32(generation.clientTag);
  out.varint(ordinalOf(generation));
  out.u8((PHASES.indexOf(generation.phase) << 1) | (generation.aborted ? 1 : 0));
  out.u8(generation.arrivalVip);
  writeAddress(out, generation.source, written);
  writeList(out, generation.listed, written);
  writeList(out, generation.pairing, written);
  out.u8(generation.candidates.size);
  for (const key of sortedKeys(generation.candidates)) {
    const candidate = generation.candidates.get(key) as Candidate;
    writeIdentity(out, candidate, written);
    out.u8(candidate.echoed ? 1 : 0);
    writeList(out, candidate.endpointAddresses, written);
  }
}

function writeIdentity(out: ByteWriter, candidate: CandidateIdentity, written: Address[]): void {
  out.varint(candidate.member);
  writeAddress(out, candidate.endpoint, written);
  out.u16(candidate.endpointPort);
  out.u16(candidate.natPort);
  out.u32(candidate.endpointTag);
}

function writeCommit(
  out: ByteWriter,
  commit: Commit,
  listed: Generation | undefined,
  written: Address[],
): void {
  out.varint(commit.epoch);
  out.u32(commit.clientTag);
  const own = commit.generation;
  const index =
    own?.candidates.has(commit.candidate) === true
      ? sortedKeys(own.candidates).indexOf(commit.candidate)
      : -1;
  const same = own !== undefined && listed !== undefined && sameGeneration(own, listed);
  out.u8(own === undefined ? 0 : same ? 1 : 2);
  if (own !== undefined && !same) writeGeneration(out, own, written);
  if (index >= 0) {
    out.u8(index);
    return;
  }
  const identity = parseCandidateKey(commit.candidate);
  if (identity !== undefined && isEncodable(identity)) {
    out.u8(COMMIT_EXPLICIT);
    writeIdentity(out, identity, written);
  } else {
    out.u8(COMMIT_TEXT);
    out.text(commit.candidate);
  }
}

function sameGeneration(a: Generation, b: Generation): boolean {
  return a === b || (joinGeneration(a, b) === a && joinGeneration(b, a) === b);
}

function isEncodable(c: CandidateIdentity): boolean {
  const isBelow = (value: number, bound: number) => Number.isInteger(value) && value >= 0 && value < bound;
  return (
    isBelow(c.member, NEVER) &&
    isBelow(c.endpointPort, 0x1_0000) &&
    isBelow(c.natPort, 0x1_0000) &&
    isBelow(c.endpointTag, 0x1_0000_0000)
  );
}

export type SessionDecoding =
  | { readonly delta: SessionDelta; readonly end: number }
  | { readonly malformed: "truncated" | "out-of-bounds" | "trailing" };

/** Decodes the bytes of exactly one record or delta. */
export function decodeSession(bytes: Uint8Array, offset = 0, end = bytes.length): SessionDecoding {
  if (end - offset > RECORD_BYTES_MAX) return { malformed: "out-of-bounds" };
  const input = new ByteReader(bytes, offset, end);
  const delta = readSession(input);
  if (delta === undefined) return { malformed: "out-of-bounds" };
  if (input.failed) return { malformed: "truncated" };
  return input.offset === end ? { delta, end } : { malformed: "trailing" };
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** undefined: a bound was broken. Check `input.failed` too. */
function readSession(input: ByteReader): SessionDelta | undefined {
  const addresses: Address[] = [];
  const delta: Writable<SessionDelta> = { id: input.sessionId() };
  if (input.failed) return delta;
  const flags = input.u8();
  if (flags & HAS_IDENTITY) {
    if (input.u8() !== PROTOCOL_SCTP) return undefined;
    delta.protocol = PROTOCOL_SCTP;
    delta.serviceId = readService(input);
    delta.clientPort = input.u16();
    if (!input.failed && delta.serviceId === "") return undefined;
  }
  if (flags & HAS_CREATED) delta.createdAtMs = input.varint();
  if (flags & HAS_CLIENTS) {
    const count = input.u8();
    if (count > CLIENT_ADDRESS_COUNT_MAX) return undefined;
    const clients = new Map<Address, boolean>();
    for (let i = 0; i < count; i++) clients.set(readAddress(input, addresses), input.u8() === 1);
    delta.clients = clients;
  }
  if (flags & HAS_GENERATIONS) {
    const count = input.u8();
    if (count > PENDING_GENERATION_COUNT_MAX) return undefined;
    const generations = new Map<Tag, Generation>();
    for (let i = 0; i < count; i++) {
      const generation = readGeneration(input, addresses);
      if (generation === undefined) return undefined;
      generations.set(generation.clientTag, generation);
    }
    delta.generations = generations;
  }
  if (flags & HAS_COMMIT) {
    const commit = readCommit(input, delta.generations, addresses);
    if (commit === undefined) return undefined;
    delta.commit = commit;
  }
  if (flags & HAS_HEARD) {
    const count = input.u8();
    if (count > VIP_INDEX_MAX + 1) return undefined;
    const heard = new Map<number, Heard>();
    for (let i = 0; i < count; i++) {
      const vip = input.u8();
      if (vip > VIP_INDEX_MAX) return undefined;
      const address = readAddress(input, addresses);
      heard.set(vip, { address, stamp: input.varint(), member: input.varint() });
    }
    delta.heard = heard;
  }
  if (flags & HAS_ACTIVITY) delta.activity = input.varint();
  if (flags & HAS_END) {
    const end = readEnd(input);
    if (end === undefined) return undefined;
    delta.end = end;
  }
  return delta;
}

/** Services are few and sessions many: those of one service share its id. Bounded, emptied when full. */
const serviceIds = new Map<number, string>();
const SERVICE_ID_COUNT_MAX = 4096;

function readService(input: ByteReader): string {
  const kind = input.u8();
  if (kind === ADDRESS_IPV4) {
    const address = input.u32();
    const port = input.u16();
    const key = address * 0x1_0000 + port;
    let id = serviceIds.get(key);
    if (id === undefined) {
      if (serviceIds.size >= SERVICE_ID_COUNT_MAX) serviceIds.clear();
      id = serviceIdOf(ipv4Text(address), port);
      serviceIds.set(key, id);
    }
    return id;
  }
  if (kind === ADDRESS_IPV6) return serviceIdOf(input.ipv6(), input.u16());
  if (kind !== ADDRESS_TEXT) input.fail();
  return input.text(TEXT_LENGTH_MAX);
}

function readAddress(input: ByteReader, read: Address[]): Address {
  const kind = input.u8();
  if (kind >= ADDRESS_BACK) {
    const known = read[kind - ADDRESS_BACK];
    if (known === undefined) input.fail();
    return known ?? "";
  }
  let address: Address = "";
  if (kind === ADDRESS_IPV4) address = ipv4Text(input.u32());
  else if (kind === ADDRESS_IPV6) address = input.ipv6();
  else if (kind === ADDRESS_TEXT) address = input.text(TEXT_LENGTH_MAX);
  else input.fail();
  if (read.length < ADDRESS_BACK_COUNT_MAX) read.push(address);
  return address;
}

function readList(input: ByteReader, countMax: number, read: Address[]): Address[] | undefined {
  const count = input.u8();
  if (count > countMax) return undefined;
  const list: Address[] = [];
  for (let i = 0; i < count; i++) list.push(readAddress(input, read));
  return list;
}

function readPhase(bits: number): Phase | undefined {
  return PHASES[bits];
}

function readGeneration(input: ByteReader, read: Address[]): Generation | undefined {
  const clientTag = input.u32();
  const ordinal = input.varint();
  const flags = input.u8();
  const phase = readPhase(flags >>> 1);
  const arrivalVip = input.u8();
  const source = readAddress(input, read);
  const listed = readList(input, LIST_COUNT_MAX, read);
  const pairing = readList(input, LIST_COUNT_MAX, read);
  const count = input.u8();
  if (phase === undefined || arrivalVip > VIP_INDEX_MAX || listed === undefined || pairing === undefined)
    return undefined;
  if (count > CANDIDATE_COUNT_MAX) return undefined;
  const candidates = new Map<string, Candidate>();
  for (let i = 0; i < count; i++) {
    const { member, endpoint, endpointPort, natPort, endpointTag } = readIdentity(input, read);
    const echoed = input.u8() === 1;
    const endpointAddresses = readList(input, ENDPOINT_ADDRESS_COUNT_MAX, read);
    if (endpointAddresses === undefined) return undefined;
    const candidate = { member, endpoint, endpointPort, natPort, endpointTag, endpointAddresses, echoed };
    candidates.set(candidateKeyOf(candidate), candidate);
  }
  return {
    clientTag,
    ordinal,
    arrivalVip,
    source,
    listed,
    pairing,
    phase,
    candidates,
    aborted: (flags & 1) === 1,
  };
}

function readIdentity(input: ByteReader, read: Address[]): CandidateIdentity {
  return {
    member: input.varint(),
    endpoint: readAddress(input, read),
    endpointPort: input.u16(),
    natPort: input.u16(),
    endpointTag: input.u32(),
  };
}

function readCommit(
  input: ByteReader,
  generations: SessionDelta["generations"],
  read: Address[],
): Commit | undefined {
  const epoch = input.varint();
  const clientTag = input.u32();
  const how = input.u8();
  let generation: Generation | undefined;
  if (how === 1) {
    generation = generations?.get(clientTag);
    if (generation === undefined) return undefined;
  } else if (how === 2) {
    generation = readGeneration(input, read);
    if (generation === undefined) return undefined;
  } else if (how !== 0) return undefined;
  const index = input.u8();
  let candidate: string;
  if (index === COMMIT_EXPLICIT) candidate = candidateKeyOf(readIdentity(input, read));
  else if (index === COMMIT_TEXT) candidate = input.text(TEXT_LENGTH_MAX);
  else {
    const known = generation === undefined ? undefined : sortedKeys(generation.candidates)[index];
    if (known === undefined) return undefined;
    candidate = known;
  }
  return generation === undefined
    ? { epoch, clientTag, candidate }
    : { epoch, clientTag, candidate, generation };
}

function readEnd(input: ByteReader): End | undefined {
  const cause = CAUSES[input.u8()];
  const flags = input.u8();
  const phaseSeen = readPhase(flags >>> 1);
  if (cause === undefined || phaseSeen === undefined) return undefined;
  return {
    cause,
    absorbing: (flags & 1) === 1,
    phaseSeen,
    epochSeen: input.varint(),
    activitySeen: input.varint(),
  };
}

// Checking without decoding. Nothing is made of what is read; `isSession` and `decodeSession` accept the same bytes.

/** Whether `decodeSession` would take the bytes, at a fraction of its cost. */
export function isSession(bytes: Uint8Array): boolean {
  if (bytes.length > RECORD_BYTES_MAX) return false;
  const input = new ByteReader(bytes);
  const check = checkSession(input);
  // Several INITs or candidates are rare, and which of them are equal shows only when they are decoded.
  if (check === "several") return "delta" in decodeSession(bytes);
  return check === "sound" && !input.failed && input.offset === bytes.length;
}

type Check = "sound" | "broken" | "several";

function checkSession(input: ByteReader): Check {
  input.skip(FLAGS_OFFSET);
  const flags = input.u8();
  let addressCount = 0;
  const address = () => {
    if (!skipAddress(input, addressCount)) addressCount = Math.min(addressCount + 1, ADDRESS_BACK_COUNT_MAX);
  };
  if (flags & HAS_IDENTITY) {
    if (input.u8() !== PROTOCOL_SCTP || !skipService(input)) return "broken";
    input.skip(2);
  }
  if (flags & HAS_CREATED) input.varint();
  if (flags & HAS_CLIENTS) {
    const count = input.u8();
    if (count > CLIENT_ADDRESS_COUNT_MAX) return "broken";
    for (let i = 0; i < count; i++) {
      address();
      input.skip(1);
    }
  }
  /** Tag and candidates of the one generation. */
  let listedTag = -1;
  let candidateCount = 0;
  /** Returns its candidates, or -1 when it is broken, or more than it says here when there are several. */
  const generation = (): number => {
    listedTag = input.u32();
    input.varint();
    const phase = input.u8() >>> 1;
    const arrivalVip = input.u8();
    address();
    const listed = input.u8();
    if (listed > LIST_COUNT_MAX) return -1;
    for (let i = 0; i < listed; i++) address();
    const pairing = input.u8();
    if (pairing > LIST_COUNT_MAX) return -1;
    for (let i = 0; i < pairing; i++) address();
    const count = input.u8();
    if (phase >= PHASES.length || arrivalVip > VIP_INDEX_MAX || count > CANDIDATE_COUNT_MAX) return -1;
    if (count === 1) {
      identity();
      input.skip(1);
      const addresses = input.u8();
      if (addresses > ENDPOINT_ADDRESS_COUNT_MAX) return -1;
      for (let i = 0; i < addresses; i++) address();
    }
    return count;
  };
  const identity = () => {
    input.varint();
    address();
    input.skip(8);
  };
  if (flags & HAS_GENERATIONS) {
    const count = input.u8();
    if (count > PENDING_GENERATION_COUNT_MAX) return "broken";
    if (count > 1) return "several";
    if (count === 1) candidateCount = generation();
    if (candidateCount < 0) return "broken";
    if (candidateCount > 1) return "several";
  }
  if (flags & HAS_COMMIT) {
    input.varint();
    const tag = input.u32();
    const how = input.u8();
    let choices = 0;
    if (how === 1) {
      if (listedTag !== tag) return "broken";
      choices = candidateCount;
    } else if (how === 2) {
      choices = generation();
      if (choices < 0) return "broken";
      if (choices > 1) return "several";
    } else if (how !== 0) return "broken";
    const index = input.u8();
    if (index === COMMIT_EXPLICIT) identity();
    else if (index === COMMIT_TEXT) input.text(TEXT_LENGTH_MAX);
    else if (index >= choices) return "broken";
  }
  if (flags & HAS_HEARD) {
    const count = input.u8();
    if (count > VIP_INDEX_MAX + 1) return "broken";
    for (let i = 0; i < count; i++) {
      if (input.u8() > VIP_INDEX_MAX) return "broken";
      address();
      input.varint();
      input.varint();
    }
  }
  if (flags & HAS_ACTIVITY) input.varint();
  if (flags & HAS_END) {
    if (input.u8() >= CAUSES.length || input.u8() >>> 1 >= PHASES.length) return "broken";
    input.varint();
    input.varint();
  }
  return "sound";
}

function skipService(input: ByteReader): boolean {
  const kind = input.u8();
  if (kind === ADDRESS_IPV4) input.skip(6);
  else if (kind === ADDRESS_IPV6) input.skip(18);
  else {
    if (kind !== ADDRESS_TEXT) input.fail();
    return input.text(TEXT_LENGTH_MAX) !== "";
  }
  return true;
}

/** true: it is one that was written before. */
function skipAddress(input: ByteReader, knownCount: number): boolean {
  const kind = input.u8();
  if (kind >= ADDRESS_BACK) {
    if (kind - ADDRESS_BACK >= knownCount) input.fail();
    return true;
  }
  if (kind === ADDRESS_IPV4) input.skip(4);
  else if (kind === ADDRESS_IPV6) input.skip(IPV6_ADDRESS_SIZE);
  else if (kind === ADDRESS_TEXT) input.text(TEXT_LENGTH_MAX);
  else input.fail();
  return false;
}

/** The canonical form of what a member holds, for comparison: its living records by id. */
export function canonicalForm(records: Iterable<SessionRecord>): Uint8Array[] {
  return [...records].sort((a, b) => compareText(a.id, b.id)).map((record) => encodeSession(record));
}
