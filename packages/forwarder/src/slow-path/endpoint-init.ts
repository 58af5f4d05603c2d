// An INIT from an endpoint: a collision with the client's, or a restart of the endpoint that remembers its clients
// (RFC 9260 §5.2.1, §5.2.2). Passed on to the client that the NAT port belongs to, its addresses replaced by the VIPs.
import { type Address, currentGeneration, familyOf, isLiving } from "@holdfast/model";
import { type Chunk, isMalformed, offeredFamilies, parseInit, rewriteInit } from "@holdfast/sctp";
import type { SctpInput } from "../packet/input.ts";
import { bytesOf, replacePayload } from "../packet/translate.ts";
import { downDestinations } from "../path-mapping/flows.ts";
import { type Core, drop, send } from "./core.ts";

export function handleEndpointInit(core: Core, input: SctpInput, endpoint: Address): undefined {
  const init = parseInit(input.packet.chunks[0] as Chunk);
  if (isMalformed(init)) return drop(core, "malformed", input.bytes);
  const { sourcePort, destinationPort } = input.packet;
  for (const record of core.table.byNatPort(endpoint, sourcePort, destinationPort)) {
    const entry = core.registry.get(record.serviceId);
    const vip = entry?.vipIndex.get(input.destination);
    if (entry === undefined || vip === undefined || !isLiving(record)) continue;
    const generation = currentGeneration(record) ?? [...record.generations.values()][0];
    const local = core.sessions.get(record.id)?.paths;
    const destination =
      generation && downDestinations(record, generation, vip, input.destination, local)?.reply;
    // An INIT goes to proven addresses only: it is no probe.
    if (destination === undefined || record.clients.get(destination) !== true) continue;
    if (familyOf(destination) !== familyOf(input.destination)) continue;
    const rewritten = rewriteInit({
      init,
      packetStart: input.packet.start,
      sourcePort: entry.service.port,
      destinationPort: record.clientPort,
      vips: entry.vipBytes,
      families: offeredFamilies(bytesOf(input.source).length, init.addresses),
    });
    if (isMalformed(rewritten)) return drop(core, "malformed", input.bytes);
    send(core, replacePayload(input, input.destination, destination, rewritten.packet), input);
    return;
  }
  drop(core, "endpoint-init-unmatched", input.bytes);
}
