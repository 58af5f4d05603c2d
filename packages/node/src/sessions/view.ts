// A record in the API's words.
import { type PathCounters, type SessionDetail, type SessionSummary, tagText } from "@holdfast/api";
import {
  type Address,
  type Candidate,
  candidateKeyOf,
  currentCandidate,
  effectivePhase,
  type ForeignSession,
  type Generation,
  generationOf,
  type MemberName,
  pendingGenerations,
  protocolName,
  type Service,
  type SessionRecord,
  type VipOwnership,
  wasProbed,
} from "@holdfast/model";
import { endpointKey } from "../services/specification.ts";
import type { HistoryEntry } from "./catalogue.ts";

export type MemberNameOf = (number: number) => MemberName;

/** The candidate in force; of an embryo the one that a COOKIE-ECHO chose, else one that answered, else any. */
export function shownCandidate(record: SessionRecord): Candidate | undefined {
  const committed = currentCandidate(record);
  if (committed !== undefined) return committed;
  const candidates = [...record.generations.values()].flatMap((g) => [...g.candidates.values()]);
  return candidates.find((c) => c.echoed) ?? candidates.find((c) => c.endpointTag !== 0) ?? candidates[0];
}

export function sessionSummary(
  record: SessionRecord,
  service: Service | undefined,
  memberNameOf: MemberNameOf,
): SessionSummary {
  const candidate = shownCandidate(record);
  const phase = effectivePhase(record);
  return {
    id: record.id,
    protocol: protocolName(record.protocol),
    service: record.serviceId,
    serviceName: service?.name ?? record.serviceId,
    phase,
    clientPort: record.clientPort,
    clients: [...record.clients.keys()].sort(),
    ...(candidate !== undefined && {
      endpoint: endpointKey(candidate.endpoint, candidate.endpointPort),
      natPort: candidate.natPort,
      member: memberNameOf(candidate.member),
    }),
    pending: record.commit !== undefined && pendingGenerations(record).length > 0,
    createdAt: new Date(record.createdAtMs).toISOString(),
    ...(phase === "closed" && record.end !== undefined && { ended: record.end.cause }),
  };
}

/** Of a protocol that this version does not know: what its envelope says. */
export function foreignSummary(session: ForeignSession, service: Service | undefined): SessionSummary {
  return {
    id: session.id,
    protocol: protocolName(session.protocol),
    service: session.serviceId,
    serviceName: service?.name ?? session.serviceId,
    phase: session.isEnded ? "closed" : "unknown",
    clientPort: session.clientPort,
    clients: [],
    pending: false,
    createdAt: new Date(
      session.createdAtMs === Number.MAX_SAFE_INTEGER ? 0 : session.createdAtMs,
    ).toISOString(),
  };
}

export interface DetailSources {
  readonly service: Service | undefined;
  readonly memberNameOf: MemberNameOf;
  readonly ownershipOf: (vip: string) => VipOwnership | undefined;
  readonly history: readonly HistoryEntry[];
  readonly counters: readonly PathCounters[];
  readonly replication: SessionDetail["replication"];
}

export function sessionDetail(record: SessionRecord, sources: DetailSources): SessionDetail {
  const { service, memberNameOf, ownershipOf } = sources;
  const committedTag = record.commit?.clientTag;
  const pending = new Set(pendingGenerations(record).map((generation) => generation.clientTag));
  const tags = new Set(record.generations.keys());
  if (committedTag !== undefined) tags.add(committedTag);
  const generations = [...tags]
    .map((tag) => generationOf(record, tag))
    .filter((generation) => generation !== undefined);
  const shown = generations.find((g) => g.clientTag === committedTag) ?? generations[0];
  return {
    ...sessionSummary(record, service, memberNameOf),
    clientAddresses: [...record.clients]
      .map(([address, verified]) => ({ address, verified }))
      .sort((a, b) => (a.address < b.address ? -1 : 1)),
    generations: generations.map((generation) => ({
      role:
        generation.clientTag === committedTag
          ? "current"
          : pending.has(generation.clientTag)
            ? "pending"
            : "past",
      phase: generation.phase,
      clientTag: tagText(generation.clientTag),
      arrivalVip: generation.arrivalVip,
      source: generation.source,
      listed: [...generation.listed],
      pairing: [...generation.pairing],
      aborted: generation.aborted,
      candidates: candidatesOf(generation, record, memberNameOf),
    })),
    ...(record.commit !== undefined && {
      commit: { epoch: record.commit.epoch, clientTag: tagText(record.commit.clientTag) },
    }),
    paths: (service?.vips ?? []).map((vip, index) => {
      const ownership = ownershipOf(vip);
      const heard = record.heard.get(index);
      const paired = shown?.pairing[index];
      const successor = ownership?.candidates.find((candidate) => candidate !== ownership.owner);
      return {
        index,
        vip,
        ...(paired !== undefined && { pairedClient: paired }),
        ...(paired !== undefined && shown !== undefined && gaveWay(record, shown, index, paired)),
        ...(heard !== undefined && {
          lastHeard: { client: heard.address, member: memberNameOf(heard.member) },
        }),
        ...(ownership?.owner !== undefined && { owner: ownership.owner }),
        ...(successor !== undefined && { successor }),
      };
    }),
    counters: [...sources.counters],
    replication: sources.replication,
    history: sources.history.map(({ wallMs, phase, origin, note }) => ({
      at: new Date(wallMs).toISOString(),
      phase,
      origin,
      ...(note !== undefined && { note }),
    })),
    activity: record.activity,
    ...(record.end !== undefined && {
      end: {
        cause: record.end.cause,
        absorbing: record.end.absorbing,
        epochSeen: record.end.epochSeen,
        phaseSeen: record.end.phaseSeen,
      },
    }),
  };
}

function gaveWay(record: SessionRecord, shown: Generation, vip: number, paired: Address) {
  return wasProbed(shown, vip) && record.clients.get(paired) !== true && { pairedGaveWay: true as const };
}

function candidatesOf(generation: Generation, record: SessionRecord, memberNameOf: MemberNameOf) {
  const present = currentCandidate(record);
  const inForce = present && candidateKeyOf(present);
  return [...generation.candidates].map(([key, candidate]) => ({
    member: memberNameOf(candidate.member),
    endpoint: endpointKey(candidate.endpoint, candidate.endpointPort),
    endpointAddresses: [...candidate.endpointAddresses],
    natPort: candidate.natPort,
    endpointTag: tagText(candidate.endpointTag),
    echoed: candidate.echoed,
    committed: key === inForce && record.commit?.clientTag === generation.clientTag,
  }));
}
