// The two steps of a handshake as records have them, for tests that need sessions and no packets.
import assert from "node:assert/strict";
import type { Address } from "../address.ts";
import { PROTOCOL_SCTP, type ServiceId } from "../service.ts";
import { sessionIdOf } from "../session/identity.ts";
import type { Candidate, Generation, SessionDelta, SessionRecord, Tag } from "../session/record.ts";
import { candidateKeyOf } from "../session/sctp/candidate.ts";
import { commitOf } from "../session/sctp/facts.ts";

export interface Answered {
  readonly serviceId: ServiceId;
  readonly clientPort: number;
  readonly clientTag: Tag;
  /** The client's, its INIT's source first; none is verified. */
  readonly clients: readonly [Address, ...Address[]];
  readonly candidate: Candidate;
  readonly createdAtMs: number;
  readonly probedVips?: number;
}

/** What a member knows when it has seen the endpoint's INIT-ACK. */
export function answeredDelta(answered: Answered): SessionDelta {
  const { serviceId, clientPort, clientTag, clients, candidate, createdAtMs, probedVips } = answered;
  const [source] = clients;
  const generation: Generation = {
    clientTag,
    arrivalVip: 0,
    source,
    listed: clients,
    pairing: clients,
    phase: "initAck",
    candidates: new Map([[candidateKeyOf(candidate), candidate]]),
    aborted: false,
    ...(probedVips !== undefined && { probedVips }),
  };
  return {
    id: sessionIdOf(serviceId, clientPort, clientTag, source, clients),
    protocol: PROTOCOL_SCTP,
    serviceId,
    clientPort,
    createdAtMs,
    clients: new Map(clients.map((address) => [address, false])),
    generations: new Map([[clientTag, generation]]),
  };
}

/** COOKIE-ACK: the only candidate is in force. */
export function establishedDelta(record: SessionRecord): SessionDelta {
  const [generation] = record.generations.values();
  const [candidate] = generation?.candidates.values() ?? [];
  assert.ok(generation !== undefined && candidate !== undefined, "no candidate to commit");
  return {
    id: record.id,
    generations: new Map([[generation.clientTag, { ...generation, phase: "established" }]]),
    commit: commitOf(record, generation.clientTag, candidate),
  };
}
