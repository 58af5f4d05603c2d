// Checking without decoding. Nothing is made of what is read; `isSession` and `decodeSession` accept the same
// bytes.
import { IPV6_ADDRESS_SIZE } from "../../address.ts";
import { PROTOCOL_SCTP } from "../../service.ts";
import { ByteReader } from "../bytes.ts";
import {
  CANDIDATE_COUNT_MAX,
  CLIENT_ADDRESS_COUNT_MAX,
  ENDPOINT_ADDRESS_COUNT_MAX,
  PENDING_GENERATION_COUNT_MAX,
  PHASES,
} from "../record.ts";
import {
  ADDRESS_BACK,
  ADDRESS_BACK_COUNT_MAX,
  ADDRESS_IPV4,
  ADDRESS_IPV6,
  ADDRESS_TEXT,
  CAUSES,
  COMMIT_EXPLICIT,
  COMMIT_TEXT,
  FLAGS_OFFSET,
  HAS_ACTIVITY,
  HAS_CLIENTS,
  HAS_COMMIT,
  HAS_CREATED,
  HAS_END,
  HAS_GENERATIONS,
  HAS_HEARD,
  HAS_IDENTITY,
  LIST_COUNT_MAX,
  PHASE_MASK,
  PHASE_SHIFT,
  RECORD_BYTES_MAX,
  TEXT_LENGTH_MAX,
  VIP_INDEX_MAX,
} from "./format.ts";
import { decodeSession } from "./read.ts";

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
    const phase = (input.u8() >>> PHASE_SHIFT) & PHASE_MASK;
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
