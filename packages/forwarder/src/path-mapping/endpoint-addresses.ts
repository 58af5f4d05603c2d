// At which of its addresses an endpoint is spoken to. An association knows the addresses that the endpoint's
// INIT-ACK told (RFC 9260 §5.1.3); whoever else speaks SCTP there would answer with ABORT. Of those the
// configured ones are used, which are probed: each VIP has its own, so that a network of the endpoint's that
// fails takes one path and not all.
import { type Address, type Candidate, familyOf } from "@holdfast/model";
import type { ServiceEntry } from "../services/registry.ts";
import type { LocalPaths } from "./flows.ts";

/** The addresses that the endpoint has in this association. */
export function associationAddresses(candidate: Candidate): readonly Address[] {
  return candidate.endpointAddresses.length === 0 ? [candidate.endpoint] : candidate.endpointAddresses;
}

/**
 * Those that are configured, as addresses of any endpoint of the service with that port, in the order of the
 * service.
 */
export function configuredAddresses(candidate: Candidate, entry: ServiceEntry): readonly Address[] {
  const configured = entry.endpointAddresses.get(candidate.endpointPort) ?? [];
  const named = associationAddresses(candidate);
  return configured.filter((address) => named.includes(address));
}

/** Where packets for a VIP go at the endpoint; undefined when it has no address of the VIP's family. */
export function endpointAddressFor(
  candidate: Candidate,
  entry: ServiceEntry,
  vip: number,
  local: Pick<LocalPaths, "endpointsDown"> | undefined,
): Address | undefined {
  const { vips } = entry.service;
  const family = familyOf(vips[vip] as Address);
  const named = associationAddresses(candidate).filter((address) => familyOf(address) === family);
  if (named.length <= 1) return named[0];
  const configured = configuredAddresses(candidate, entry).filter((address) => familyOf(address) === family);
  // Its own first: the INIT went there, and it is the first VIP's.
  configured.sort((a, b) => Number(b === candidate.endpoint) - Number(a === candidate.endpoint));
  const down = local?.endpointsDown ?? [];
  const isUp = (address: Address) => !down.includes(address);
  const choices = [
    configured.filter(isUp),
    // Nobody probes these; the association has them, and there is nothing better.
    named.filter((address) => !configured.includes(address)),
    configured,
  ].find((list) => list.length > 0) as readonly Address[];
  let turn = 0;
  for (let i = 0; i < vip; i++) if (familyOf(vips[i] as Address) === family) turn += 1;
  return choices[turn % choices.length];
}
