// A record in the API's words.
import { type PathCounters, type SessionDetail, type SessionSummary, tagText } from "@holdfast/api";
import {
  type Address,
  candidateKeyOf,
  currentCandidate,
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
import { type KnownSession, type ShownSession, sctpRecord } from "./tables.ts";

export type MemberNameOf = (number: number) => MemberName;

/** By its envelope, and by what every kind of session has. */
export function sessionSummary(
  shown: ShownSession,
  service: Service | undefined,
  memberNameOf: MemberNameOf,
): SessionSummary {
  if ("foreign" in shown) return foreignSummary(shown.foreign, service);
  const { kind, record } = shown;
  const port = kind.shownPort(record);
  const phase = kind.phaseOf(record) as SessionSummary["phase"];
  const sctp = sctpRecord(shown);
  return {
    ...envelopeOf(record, service),
    phase,
    clients: [...kind.clientsOf(record).keys()].sort(),
    ...(port !== undefined && {
      endpoint: endpointKey(port.endpoint, port.endpointPort),
      natPort: port.natPort,
      member: memberNameOf(port.member),
    }),
    pending: sctp?.commit !== undefined && pendingGenerations(sctp).length > 0,
    ...(phase === "closed" && record.end !== undefined && { ended: record.end.cause }),
  };
}

/** Of a protocol that this version does not know: what its envelope says. */
export function foreignSummary(session: ForeignSession, service: Service | undefined): SessionSummary {
  return {
    ...envelopeOf(session, service),
    phase: session.isEnded ? "closed" : "unknown",
    clients: [],
    pending: false,
  };
}

function envelopeOf(
  { id, protocol, serviceId, clientPort, createdAtMs }: Omit<ForeignSession, "isEnded" | "activity">,
  service: Service | undefined,
) {
  return {
    id,
    protocol: protocolName(protocol),
    service: serviceId,
    serviceName: service?.name ?? serviceId,
    clientPort,
    createdAt: new Date(createdAtMs === Number.MAX_SAFE_INTEGER ? 0 : createdAtMs).toISOString(),
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

/**
 * Everything about one session. Of one that is not understood: the envelope, where it is held, and no body.
 */
export function sessionDetail(shown: ShownSession, sources: DetailSources): SessionDetail {
  const { service, memberNameOf } = sources;
  const body = "foreign" in shown ? {} : bodyOf(shown, sources);
  return {
    ...sessionSummary(shown, service, memberNameOf),
    bodyUnderstood: !("foreign" in shown),
    clientAddresses: [],
    generations: [],
    paths: pathsOf(sources),
    ...body,
    counters: [...sources.counters],
    replication: sources.replication,
    history: sources.history.map(({ wallMs, phase, origin, note }) => ({
      at: new Date(wallMs).toISOString(),
      phase: phase as SessionDetail["history"][number]["phase"],
      origin,
      ...(note !== undefined && { note }),
    })),
    activity: "foreign" in shown ? shown.foreign.activity : shown.record.activity,
    ...("record" in shown &&
      shown.record.end !== undefined && {
        end: {
          cause: shown.record.end.cause,
          absorbing: shown.record.end.absorbing,
          epochSeen: shown.record.end.epochSeen,
          phaseSeen: shown.record.end.phaseSeen,
        },
      }),
  };
}

type Body = Pick<SessionDetail, "clientAddresses"> &
  Partial<Pick<SessionDetail, "generations" | "commit" | "paths">>;

function bodyOf(known: KnownSession, sources: DetailSources): Body {
  const sctp = sctpRecord(known);
  if (sctp !== undefined) return sctpBody(sctp, sources);
  const { kind, record } = known;
  const verified = kind.currentPort(record) !== undefined;
  return { clientAddresses: [...kind.clientsOf(record).keys()].map((address) => ({ address, verified })) };
}

function sctpBody(record: SessionRecord, sources: DetailSources): Body {
  const committedTag = record.commit?.clientTag;
  const pending = new Set(pendingGenerations(record).map((generation) => generation.clientTag));
  const tags = new Set(record.generations.keys());
  if (committedTag !== undefined) tags.add(committedTag);
  const generations = [...tags]
    .map((tag) => generationOf(record, tag))
    .filter((generation) => generation !== undefined);
  const shown = generations.find((g) => g.clientTag === committedTag) ?? generations[0];
  return {
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
      candidates: candidatesOf(generation, record, sources.memberNameOf),
    })),
    ...(record.commit !== undefined && {
      commit: { epoch: record.commit.epoch, clientTag: tagText(record.commit.clientTag) },
    }),
    paths: pathsOf(sources).map((path) => {
      const heard = record.heard.get(path.index);
      const paired = shown?.pairing[path.index];
      return {
        ...path,
        ...(paired !== undefined && { pairedClient: paired }),
        ...(paired !== undefined && shown !== undefined && gaveWay(record, shown, path.index, paired)),
        ...(heard !== undefined && {
          lastHeard: { client: heard.address, member: sources.memberNameOf(heard.member) },
        }),
      };
    }),
  };
}

/** The service's VIPs and who has them, which every session has. */
function pathsOf({ service, ownershipOf }: DetailSources): SessionDetail["paths"] {
  return (service?.vips ?? []).map((vip, index) => {
    const ownership = ownershipOf(vip);
    const successor = ownership?.candidates.find((candidate) => candidate !== ownership.owner);
    return {
      index,
      vip,
      ...(ownership?.owner !== undefined && { owner: ownership.owner }),
      ...(successor !== undefined && { successor }),
    };
  });
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
