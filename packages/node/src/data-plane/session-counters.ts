// What this member's fast path counted for one session.
import type { PathCounters } from "@holdfast/api";
import type { FastPath, FlowCounters, FlowKey } from "@holdfast/forwarder";
import {
  type Address,
  familyOf,
  isPlain,
  kindOf,
  type MemberName,
  type PlainRecord,
  type Service,
  type SessionEnvelope,
  type SessionRecord,
  sourceOf,
} from "@holdfast/model";

const NOTHING: FlowCounters = { packets: 0, bytes: 0, lastSeenMs: 0 };

/**
 * A row for each VIP and client address with a flow. A down flow belongs to its VIP alone: it stands in the
 * row of the client address that is paired with it.
 */
export function sessionCounters(
  record: SessionEnvelope,
  service: Pick<Service, "vips" | "port">,
  fastPath: Pick<FastPath, "counters" | "nowMs"> & { readonly plain: Pick<FastPath["plain"], "read"> },
  member: MemberName,
): readonly PathCounters[] {
  const kind = kindOf(record.protocol);
  if (kind === undefined) return [];
  const candidate = kind.shownPort(record);
  const countersOf = (key: FlowKey) =>
    isPlain(key.protocol) ? fastPath.plain.read(key)?.state : fastPath.counters(key);
  const nowMs = fastPath.nowMs();
  const view = ({ packets, bytes, lastSeenMs }: FlowCounters) => ({
    packets,
    bytes,
    ...(packets > 0 && { lastSeenMsAgo: Math.max(0, Math.round(nowMs - lastSeenMs)) }),
  });
  const pairing = "generations" in record ? pairingOf(record as SessionRecord) : undefined;
  const rows: PathCounters[] = [];
  for (const [index, vip] of service.vips.entries()) {
    const isOfFamily = (address: Address) => familyOf(address) === familyOf(vip);
    const down =
      candidate &&
      sum(
        // Of a multi-homed endpoint each address has a flow of its own.
        [...new Set([candidate.endpoint, ...(candidate.endpointAddresses ?? [])])]
          .filter(isOfFamily)
          .map((source) =>
            countersOf({
              protocol: record.protocol,
              source,
              destination: sourceAt(record, vip),
              sourcePort: candidate.endpointPort,
              destinationPort: candidate.natPort,
            }),
          ),
      );
    const ups = [...kind.clientsOf(record).keys()].filter(isOfFamily).flatMap((client) => {
      const up = countersOf({
        protocol: record.protocol,
        source: client,
        destination: vip,
        sourcePort: record.clientPort,
        destinationPort: service.port,
      });
      return up === undefined ? [] : [{ client, up }];
    });
    const paired = pairing?.[index];
    const downClient = ups.find(({ client }) => client === paired)?.client ?? ups[0]?.client ?? paired;
    for (const { client, up } of ups)
      rows.push({
        member,
        vip,
        client,
        up: view(up),
        down: view(client === downClient ? (down ?? NOTHING) : NOTHING),
      });
    if (ups.length === 0 && down !== undefined && down.packets > 0 && downClient !== undefined)
      rows.push({ member, vip, client: downClient, up: view(NOTHING), down: view(down) });
  }
  return rows;
}

/** Where answers come to what came on the VIP. */
function sourceAt(record: SessionEnvelope, vip: Address): Address {
  return isPlain(record.protocol) && (record as PlainRecord).vip === vip
    ? sourceOf(record as PlainRecord)
    : vip;
}

/** undefined when there is no flow at all. */
function sum(flows: readonly (FlowCounters | undefined)[]): FlowCounters | undefined {
  let total: FlowCounters | undefined;
  for (const flow of flows)
    if (flow !== undefined)
      total = {
        packets: (total?.packets ?? 0) + flow.packets,
        bytes: (total?.bytes ?? 0) + flow.bytes,
        lastSeenMs: Math.max(total?.lastSeenMs ?? 0, flow.lastSeenMs),
      };
  return total;
}

/** The client address paired with each VIP; SCTP's alone have it. */
function pairingOf({ generations, commit }: SessionRecord): readonly Address[] | undefined {
  return [...generations.values(), ...(commit?.generation ? [commit.generation] : [])].at(-1)?.pairing;
}
