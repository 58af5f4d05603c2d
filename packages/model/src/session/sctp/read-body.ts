// SCTP's part of a record from bytes: total, within the bounds of ../codec/format.ts.

import { type Address, NO_ADDRESS } from "../../address.ts";
import type { ByteReader } from "../bytes.ts";
import { ipv4Text } from "../bytes.ts";
import {
  ADDRESS_BACK,
  ADDRESS_BACK_COUNT_MAX,
  ADDRESS_IPV4,
  ADDRESS_IPV6,
  ADDRESS_TEXT,
  COMMIT_EXPLICIT,
  COMMIT_TEXT,
  HAS_CLIENTS,
  HAS_COMMIT,
  HAS_GENERATIONS,
  HAS_HEARD,
  LIST_COUNT_MAX,
  PHASE_MASK,
  PHASE_SHIFT,
  PROBED_SHIFT,
  sortedKeys,
  TEXT_LENGTH_MAX,
  VIP_INDEX_MAX,
} from "../codec/format.ts";
import type { SessionDelta } from "../record.ts";
import {
  CANDIDATE_COUNT_MAX,
  type Candidate,
  CLIENT_ADDRESS_COUNT_MAX,
  type Commit,
  ENDPOINT_ADDRESS_COUNT_MAX,
  type Generation,
  type Heard,
  PENDING_GENERATION_COUNT_MAX,
  PHASES,
  type Phase,
  type Tag,
} from "../record.ts";
import { type CandidateIdentity, candidateKeyOf } from "./candidate.ts";

export type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** Into the delta. false: a bound was broken. Check `input.failed` too. */
export function readBody(input: ByteReader, flags: number, delta: Writable<SessionDelta>): boolean {
  const addresses: Address[] = [];
  if (flags & HAS_CLIENTS) {
    const count = input.u8();
    if (count > CLIENT_ADDRESS_COUNT_MAX) return false;
    const clients = new Map<Address, boolean>();
    for (let i = 0; i < count; i++) clients.set(readAddress(input, addresses), input.u8() === 1);
    delta.clients = clients;
  }
  if (flags & HAS_GENERATIONS) {
    const count = input.u8();
    if (count > PENDING_GENERATION_COUNT_MAX) return false;
    const generations = new Map<Tag, Generation>();
    for (let i = 0; i < count; i++) {
      const generation = readGeneration(input, addresses);
      if (generation === undefined) return false;
      generations.set(generation.clientTag, generation);
    }
    delta.generations = generations;
  }
  if (flags & HAS_COMMIT) {
    const commit = readCommit(input, delta.generations, addresses);
    if (commit === undefined) return false;
    delta.commit = commit;
  }
  if (flags & HAS_HEARD) {
    const count = input.u8();
    if (count > VIP_INDEX_MAX + 1) return false;
    const heard = new Map<number, Heard>();
    for (let i = 0; i < count; i++) {
      const vip = input.u8();
      if (vip > VIP_INDEX_MAX) return false;
      const address = readAddress(input, addresses);
      heard.set(vip, { address, stamp: input.varint(), member: input.varint() });
    }
    delta.heard = heard;
  }
  return true;
}

function readAddress(input: ByteReader, read: Address[]): Address {
  const kind = input.u8();
  if (kind >= ADDRESS_BACK) {
    const known = read[kind - ADDRESS_BACK];
    if (known === undefined) input.fail();
    return known ?? NO_ADDRESS;
  }
  let address = NO_ADDRESS;
  if (kind === ADDRESS_IPV4) address = ipv4Text(input.u32());
  else if (kind === ADDRESS_IPV6) address = input.ipv6();
  // Its writer found none in it (NO_ADDRESS, say): kept as it is, so that the record is the same everywhere.
  else if (kind === ADDRESS_TEXT) address = input.text(TEXT_LENGTH_MAX) as Address;
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

export function readPhase(bits: number): Phase | undefined {
  return PHASES[bits];
}

function readGeneration(input: ByteReader, read: Address[]): Generation | undefined {
  const clientTag = input.u32();
  const ordinal = input.varint();
  const flags = input.u8();
  const phase = readPhase((flags >>> PHASE_SHIFT) & PHASE_MASK);
  const probedVips = flags >>> PROBED_SHIFT;
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
  const aborted = (flags & 1) === 1;
  // A literal, not a spread: every record that is read has one.
  const generation = { clientTag, ordinal, arrivalVip, source, listed, pairing, phase, candidates, aborted };
  return probedVips === 0 ? generation : { ...generation, probedVips };
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
