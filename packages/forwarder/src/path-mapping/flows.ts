// The flows of a session: a pure function of its record and of what this member has heard. Every member
// installs the same from the same record, whether it saw the INIT or not.
import {
  type Address,
  currentCandidate,
  currentGeneration,
  familyOf,
  type Generation,
  isLiving,
  type SessionRecord,
  type Tag,
  wasProbed,
} from "@holdfast/model";
import type { Flow, FlowKey } from "../fast-path/port.ts";
import type { ServiceEntry } from "../services/registry.ts";
import { configuredAddresses, endpointAddressFor } from "./endpoint-addresses.ts";

/** What this member knows beside the record. By VIP index where it says so. */
export interface LocalPaths {
  /** 32-bit handle of the session at this member. */
  readonly handle: number;
  /** Last heard here, when that is newer than the record's; by VIP. */
  readonly heard: readonly (Address | undefined)[] | undefined;
  /** Client addresses heard on a VIP that is not the one paired with them; by VIP. */
  readonly learnedClients: readonly (readonly Address[] | undefined)[] | undefined;
  /** Addresses of the endpoint, other than the configured ones, from which packets came. */
  readonly learnedEndpoints: readonly Address[] | undefined;
  /** Where path packets go while the paired address does not answer; by VIP. */
  readonly fallback: readonly (Address | undefined)[] | undefined;
  /** Configured addresses of the endpoint that are down. */
  readonly endpointsDown: readonly Address[] | undefined;
  /** A restart is under way: wrong tags are looked at instead of dropped. */
  readonly pending: boolean;
}

export function heardOn(
  record: SessionRecord,
  local: LocalPaths | undefined,
  vip: number,
): Address | undefined {
  return local?.heard?.[vip] ?? record.heard.get(vip)?.address;
}

export function isVerified(record: SessionRecord, client: Address): boolean {
  return record.clients.get(client) === true;
}

/** Where packets from the endpoint to a VIP go (docs/sctp.md §6). */
export interface DownDestinations {
  /** Packets that probe or carry a path. */
  readonly path: Address;
  /** Everything else; also path packets other than HEARTBEAT while `path` is unverified. */
  readonly reply: Address;
  readonly pathVerified: boolean;
}

export function downDestinations(
  record: SessionRecord,
  generation: Generation,
  vip: number,
  vips: readonly Address[],
  local: LocalPaths | undefined,
): DownDestinations | undefined {
  const family = familyOf(vips[vip] as Address);
  const heard = heardOn(record, local, vip);
  const paired = generation.pairing[vip];
  // The service has other VIPs than at the INIT: which is paired with what nobody can say, but where the
  // client speaks.
  const believed = generation.pairing.length === vips.length ? paired : (heard ?? paired);
  const path =
    settledOn(record, generation, vip, heard, local?.fallback?.[vip] ?? believed) ?? generation.source;
  if (familyOf(path) !== family) {
    return heard !== undefined && familyOf(heard) === family
      ? { path: heard, reply: heard, pathVerified: isVerified(record, heard) }
      : undefined;
  }
  const pathVerified = isVerified(record, path);
  let reply = heard;
  if (reply === undefined && !pathVerified) reply = verifiedAddress(record, generation, family);
  return { path, reply: reply ?? path, pathVerified };
}

/**
 * A partner that had its HEARTBEAT and never proved itself gives way to the address that speaks on the VIP,
 * for good: it gets the path back when it speaks itself.
 */
function settledOn(
  record: SessionRecord,
  generation: Generation,
  vip: number,
  heard: Address | undefined,
  path: Address | undefined,
): Address | undefined {
  if (path === undefined || heard === undefined || !wasProbed(generation, vip)) return path;
  const givesWay =
    !isVerified(record, path) && isVerified(record, heard) && familyOf(heard) === familyOf(path);
  return givesWay ? heard : path;
}

/** The INIT's source when it is of the family and verified, else any verified address. */
function verifiedAddress(record: SessionRecord, generation: Generation, family: 4 | 6): Address | undefined {
  const { source } = generation;
  if (familyOf(source) === family && isVerified(record, source)) return source;
  for (const [address, verified] of record.clients) {
    if (verified && familyOf(address) === family) return address;
  }
  return undefined;
}

/** The flows of a living, committed session; none of any other. */
export function flowsOf(record: SessionRecord, entry: ServiceEntry, local: LocalPaths): Flow[] {
  const generation = currentGeneration(record);
  const candidate = currentCandidate(record);
  if (generation === undefined || candidate === undefined || candidate.endpointTag === 0) return [];
  if (!isLiving(record) || generation.aborted) return [];
  const flows: Flow[] = [];
  const { vips, port } = entry.service;
  for (let vip = 0; vip < vips.length; vip++) {
    const vipAddress = vips[vip] as Address;
    const family = familyOf(vipAddress);
    const endpoint = endpointAddressFor(candidate, entry, vip, local);
    if (endpoint === undefined) continue;
    const heard = heardOn(record, local, vip);
    const destinations = downDestinations(record, generation, vip, vips, local);
    if (destinations !== undefined) {
      const sources = new Set<Address>([
        endpoint,
        ...configuredAddresses(candidate, entry),
        ...(local.learnedEndpoints ?? []),
      ]);
      for (const source of sources) {
        if (familyOf(source) !== family) continue;
        flows.push({
          key: {
            protocol: record.protocol,
            source,
            destination: vipAddress,
            sourcePort: candidate.endpointPort,
            destinationPort: candidate.natPort,
          },
          newSource: vipAddress,
          newDestination: destinations.path,
          newSourcePort: port,
          newDestinationPort: record.clientPort,
          tag: generation.clientTag,
          direction: "down",
          ...(destinations.reply === destinations.path ? {} : { replyDestination: destinations.reply }),
          pending: local.pending,
          heartbeatOnly: !destinations.pathVerified,
          learn: false,
          ...peerTag(candidate.endpointTag),
          session: local.handle,
        });
      }
    }
    const clients = new Set<Address>();
    const paired = generation.pairing[vip];
    if (paired !== undefined) clients.add(paired);
    if (heard !== undefined) clients.add(heard);
    for (const client of local.learnedClients?.[vip] ?? []) clients.add(client);
    for (const client of clients) {
      if (familyOf(client) !== family || !record.clients.has(client)) continue;
      flows.push({
        key: {
          protocol: record.protocol,
          source: client,
          destination: vipAddress,
          sourcePort: record.clientPort,
          destinationPort: port,
        },
        newSource: vipAddress,
        newDestination: endpoint,
        newSourcePort: candidate.natPort,
        newDestinationPort: candidate.endpointPort,
        tag: candidate.endpointTag,
        direction: "up",
        pending: local.pending,
        heartbeatOnly: false,
        learn: heard !== client || !isVerified(record, client),
        ...peerTag(generation.clientTag),
        session: local.handle,
      });
    }
  }
  return flows;
}

function peerTag(tag: Tag): Pick<Flow, "peerTag"> {
  const half = tag & 0xffff;
  return half === 0 ? {} : { peerTag: half };
}

export function flowKeyText(key: FlowKey): string {
  return `${key.protocol}|${key.source}|${key.destination}|${key.sourcePort}|${key.destinationPort}`;
}

/** Whether two flows with the same key do the same; the session handle counts, too. */
export function sameFlow(a: Flow, b: Flow): boolean {
  return (
    a.newSource === b.newSource &&
    a.newDestination === b.newDestination &&
    a.newSourcePort === b.newSourcePort &&
    a.newDestinationPort === b.newDestinationPort &&
    a.tag === b.tag &&
    a.direction === b.direction &&
    a.replyDestination === b.replyDestination &&
    a.pending === b.pending &&
    a.heartbeatOnly === b.heartbeatOnly &&
    a.learn === b.learn &&
    a.peerTag === b.peerTag &&
    a.session === b.session
  );
}
