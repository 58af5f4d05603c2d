// SCTP's part of a record to bytes; see ../codec/format.ts.

import type { Address } from "../../address.ts";
import type { ByteWriter } from "../bytes.ts";
import { ipv4Of, ipv6Of } from "../bytes.ts";
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
  PHASE_SHIFT,
  PROBED_SHIFT,
  sortedKeys,
} from "../codec/format.ts";
import { NEVER } from "../envelope.ts";
import type { SctpBody } from "../record.ts";
import { type Candidate, CLIENT_ADDRESS_COUNT_MAX, type Commit, type Generation, PHASES } from "../record.ts";
import { type CandidateIdentity, parseCandidateKey } from "./candidate.ts";
import { joinGeneration, ordinalOf, probedVipsOf } from "./generation.ts";

/** Appends what there is of it. Returns the flags that say what. */
export function writeBody(out: ByteWriter, delta: Partial<SctpBody>): number {
  const addresses: Address[] = [];
  let flags = 0;
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
  return flags;
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

function writeGeneration(out: ByteWriter, generation: Generation, written: Address[]): void {
  out.u32(generation.clientTag);
  out.varint(ordinalOf(generation));
  out.u8(
    (probedVipsOf(generation) << PROBED_SHIFT) |
      (PHASES.indexOf(generation.phase) << PHASE_SHIFT) |
      (generation.aborted ? 1 : 0),
  );
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
