// Whose a NAT port is, when it is the client's own port: a peer that demands a source port comes back from
// it.
import {
  type Address,
  natPortsOf,
  type Place,
  type ServiceId,
  type SessionRecord,
  samePlace,
} from "@holdfast/model";

/** The client whose own port it is. */
export interface PortHolder {
  readonly serviceId: ServiceId;
  /** Of the client, those that it lists included. */
  readonly addresses: readonly Address[];
}

/** Whether `source` is the client that holds it: from its address, to its service. */
export function isHeldBy(holder: PortHolder, serviceId: ServiceId, source: Address): boolean {
  return holder.serviceId === serviceId && holder.addresses.includes(source);
}

/** Whose port a session's is; undefined when it is not the client's own. */
export function holderOf(record: SessionRecord, natPort: number): PortHolder | undefined {
  if (record.clientPort !== natPort) return undefined;
  return { serviceId: record.serviceId, addresses: [...record.clients.keys()] };
}

/** Client tags of a session's generations that hold a place. */
export function tagsAt(record: SessionRecord, place: Place): number[] {
  const isAt = (held: Place) => samePlace(held, place);
  if (!natPortsOf(record).some(isAt)) return [];
  const tags: number[] = [];
  for (const generation of record.generations.values())
    if ([...generation.candidates.values()].some(isAt)) tags.push(generation.clientTag);
  const { commit } = record;
  if (commit !== undefined && !tags.includes(commit.clientTag)) tags.push(commit.clientTag);
  return tags;
}
