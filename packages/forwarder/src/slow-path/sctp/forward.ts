// Translating and sending what the slow path let through.
import { familyOf } from "@holdfast/model";
import {
  CHUNK,
  carriesCauseWithAddresses,
  filterErrorCauses,
  isMalformed,
  write16,
  writeChecksum,
} from "@holdfast/sctp";
import { type Core, drop, send } from "../../core.ts";
import { addressAt, type SctpInput } from "../../packet/input.ts";
import { type Rewrite, replacePayload, translate } from "../../packet/translate.ts";
import type { ServiceEntry } from "../../services/registry.ts";

/**
 * Sends the packet on with other addresses and ports. Causes that carry addresses lose those that are not
 * VIPs.
 */
export function forward(core: Core, input: SctpInput, entry: ServiceEntry, rewrite: Rewrite): undefined {
  if (familyOf(rewrite.newDestination) !== familyOf(input.destination))
    return drop(core, "no-path", input.bytes);
  if (!carriesCauseWithAddresses(input.packet)) return void send(core, translate(input, rewrite), input);
  // What stands behind an AUTH chunk cannot be edited, and must not be shown as it is.
  if (input.packet.chunks.some((chunk) => chunk.type === CHUNK.AUTH))
    return drop(core, "error-causes", input.bytes);
  const filtered = filterErrorCauses(input.packet, (bytes) =>
    entry.vipIndex.has(addressAt(bytes, 0, bytes.length)),
  );
  if (isMalformed(filtered)) return drop(core, "error-causes", input.bytes);
  write16(filtered, 0, rewrite.newSourcePort);
  write16(filtered, 2, rewrite.newDestinationPort);
  writeChecksum(filtered, 0, filtered.length);
  send(core, replacePayload(input, rewrite.newSource, rewrite.newDestination, filtered), input);
}
