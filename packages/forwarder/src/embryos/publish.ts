// How an embryo becomes a record that all members hold.
import {
  type Address,
  type Candidate,
  candidateKeyOf,
  ENDPOINT_ADDRESS_COUNT_MAX,
  type Generation,
  type SessionDelta,
  type SessionRecord,
} from "@holdfast/model";
import type { Needs } from "../core.ts";
import { type Embryo, sessionIdOfEmbryo } from "./embryo.ts";

/** Hands what is known of the embryo to the table. */
export function publish(
  core: Needs<"nursery" | "table" | "memberNumber" | "clock">,
  embryo: Embryo,
): SessionRecord {
  core.nursery.published(embryo);
  const record = core.table.apply(deltaOf(core, embryo), { urgent: true });
  return record;
}

function deltaOf(core: Needs<"memberNumber" | "clock">, embryo: Embryo): SessionDelta {
  const { entry, source, listed, unrouted, restartOf } = embryo;
  const candidates = new Map<string, Candidate>();
  for (const endpointTag of embryo.endpointTags.length === 0 ? [0] : embryo.endpointTags) {
    const candidate: Candidate = {
      member: core.memberNumber,
      endpoint: embryo.endpoint.address,
      endpointPort: embryo.endpoint.port,
      natPort: embryo.natPort,
      endpointTag,
      endpointAddresses: recorded(embryo.endpointAddresses, embryo.endpoint.address),
      echoed: false,
    };
    candidates.set(candidateKeyOf(candidate), candidate);
  }
  const generation: Generation = {
    clientTag: embryo.clientTag,
    arrivalVip: embryo.arrivalVip,
    source,
    listed,
    pairing: embryo.pairing,
    phase: embryo.endpointTags.length === 0 ? "init" : "initAck",
    candidates,
    aborted: false,
  };
  const delta: SessionDelta = {
    id: sessionIdOfEmbryo(embryo),
    generations: new Map([[generation.clientTag, generation]]),
  };
  // The addresses of a restart count only once it is proven: the session belongs to somebody.
  if (restartOf !== undefined) return delta;
  return {
    ...delta,
    protocol: entry.service.protocol,
    serviceId: entry.service.id,
    clientPort: embryo.clientPort,
    createdAtMs: core.clock.wallMs(),
    clients: new Map([source, ...listed, ...unrouted].map((address) => [address, false])),
  };
}

/** As a candidate holds them: nothing, when the configured identity is the only one. */
export function recorded(told: readonly Address[], identity: Address): Address[] {
  if (told.length === 0 || (told.length === 1 && told[0] === identity)) return [];
  return told.slice(0, ENDPOINT_ADDRESS_COUNT_MAX).sort();
}
