// An INIT from an endpoint: a collision with the client's, or a restart of an endpoint that remembers its
// clients (RFC 9260 §5.2.1, §5.2.2). Passed on to the client that the NAT port belongs to, and the client's
// INIT-ACK back, with the VIPs in the place of either side's addresses. What the endpoint then sends with the
// client's tag commits it, as always.
import {
  type Candidate,
  candidateKeyOf,
  currentCandidate,
  currentGeneration,
  type Endpoint,
  type Generation,
  isLiving,
  type SessionRecord,
} from "@holdfast/model";
import {
  type AddressFamilies,
  type Chunk,
  commonFamilies,
  type Init,
  isMalformed,
  offeredFamilies,
  parseInit,
  rewriteInit,
} from "@holdfast/sctp";
import { type Core, drop, send } from "../../core.ts";
import type { SctpInput } from "../../packet/input.ts";
import { replacePayload } from "../../packet/translate.ts";
import { endpointAddressFor } from "../../path-mapping/endpoint-addresses.ts";
import { familiesOf } from "../../path-mapping/families.ts";
import { downDestinations } from "../../path-mapping/flows.ts";
import type { ServiceEntry } from "../../services/registry.ts";
import { handleBeginning } from "./beginning.ts";
import { sessionsFrom } from "./origin.ts";

/** NAT port and tag are those of the endpoint's INIT; only this member has seen it. */
export function handleEndpointInit(
  core: Core,
  input: SctpInput,
  /** The service at whose VIP and port it is, … */
  service: ServiceEntry | undefined,
  /** … and its endpoint whose own port it is from: it begins, if no association is there. */
  beginner: Endpoint | undefined,
): undefined {
  const init = parseInit(input.packet.chunks[0] as Chunk);
  if (isMalformed(init)) return drop(core, "malformed", input.bytes);
  for (const { record } of sessionsFrom(core, input)) {
    const entry = core.registry.get(record.serviceId);
    const vip = entry?.vipIndex.get(input.destination);
    if (entry === undefined || vip === undefined || !isLiving(record)) continue;
    const generation = currentGeneration(record);
    const local = core.sessions.get(record.id);
    if (generation === undefined || local === undefined) continue;
    const destination = downDestinations(record, generation, vip, entry.service.vips, local.paths)?.reply;
    // An INIT goes to proven addresses only: it is no probe.
    if (destination === undefined || record.clients.get(destination) !== true) continue;
    local.endpointInitTag = init.initiateTag;
    const { port } = entry.service;
    const families = commonFamilies(
      familiesOf([destination, generation.source, ...generation.listed]),
      offeredFamilies(input.ip.addressSize, init.addresses),
    );
    const payload = rewritten(core, input, init, entry, families, port, record.clientPort);
    if (payload !== undefined)
      send(core, replacePayload(input, input.destination, destination, payload), input);
    return;
  }
  if (service !== undefined && beginner !== undefined) return handleBeginning(core, input, service, beginner);
  drop(core, "endpoint-init-unmatched", input.bytes);
}

/** The client's INIT-ACK to it. */
export function handleClientInitAck(core: Core, input: SctpInput, entry: ServiceEntry): undefined {
  const init = parseInit(input.packet.chunks[0] as Chunk);
  if (isMalformed(init)) return drop(core, "malformed", input.bytes);
  const { sourcePort, verificationTag } = input.packet;
  for (const record of core.table.byClient(entry.service.id, input.source, sourcePort)) {
    if (!isLiving(record) || core.sessions.get(record.id)?.endpointInitTag !== verificationTag) continue;
    const candidate = currentCandidate(record);
    const vip = entry.vipIndex.get(input.destination);
    const endpoint =
      candidate &&
      vip !== undefined &&
      endpointAddressFor(candidate, entry, vip, core.sessions.get(record.id)?.paths);
    if (candidate === undefined || !endpoint) continue;
    const families = offeredFamilies(input.ip.addressSize, init.addresses);
    const payload = rewritten(core, input, init, entry, families, candidate.natPort, candidate.endpointPort);
    if (payload === undefined) return;
    noteGeneration(core, record, input, init, candidate);
    send(core, replacePayload(input, input.destination, endpoint, payload), input);
    return;
  }
  drop(core, "init-ack-unexpected", input.bytes);
}

/** Both tags of the new incarnation are known now; it is pending until the endpoint uses the client's. */
function noteGeneration(
  core: Core,
  record: SessionRecord,
  input: SctpInput,
  init: Init,
  current: Candidate,
): void {
  const before = currentGeneration(record);
  if (before === undefined) return;
  const candidate: Candidate = { ...current, endpointTag: input.packet.verificationTag, echoed: true };
  const generation: Generation =
    init.initiateTag === before.clientTag
      ? { ...before, candidates: new Map([[candidateKeyOf(candidate), candidate]]) }
      : {
          clientTag: init.initiateTag,
          arrivalVip: before.arrivalVip,
          source: before.source,
          listed: before.listed,
          pairing: before.pairing,
          phase: "initAck",
          candidates: new Map([[candidateKeyOf(candidate), candidate]]),
          aborted: false,
        };
  core.table.apply(
    { id: record.id, generations: new Map([[generation.clientTag, generation]]) },
    { urgent: true },
  );
}

function rewritten(
  core: Core,
  input: SctpInput,
  init: Init,
  entry: ServiceEntry,
  families: AddressFamilies,
  sourcePort: number,
  destinationPort: number,
): Uint8Array | undefined {
  const result = rewriteInit({
    init,
    packetStart: input.packet.start,
    sourcePort,
    destinationPort,
    vips: entry.vipBytes,
    families,
  });
  if (!isMalformed(result)) return result.packet;
  drop(core, "malformed", input.bytes);
  return undefined;
}
