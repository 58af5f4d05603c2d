// The cluster in one answer, made of what members tell each other. However many ask, it is made a few times a
// second.
import type { ClusterMember, ClusterPicture, ClusterService, ClusterVip } from "@holdfast/api";
import { protocolName, type ServiceProtocol } from "@holdfast/model";
import { alertsOf } from "../cluster/alerts.ts";
import type { HeardReport } from "../cluster/reports.ts";
import { endpointKey } from "../services/specification.ts";
import type { ApiSources } from "./sources.ts";
import { vipViews } from "./vip-views.ts";

/** An answer is given again for so long. */
export const PICTURE_FRESH_MS = 300;
/** NAT ports of an endpoint that can be allocated, of all member numbers together. */
const NAT_PORT_COUNT = 64_512;

export class ClusterPictures {
  readonly #sources: ApiSources;
  #latest: { readonly text: Promise<string>; readonly atMs: number } | undefined;

  constructor(sources: ApiSources) {
    this.#sources = sources;
  }

  /** JSON of a ClusterPicture. */
  text(): Promise<string> {
    const nowMs = this.#sources.clock.nowMs();
    if (this.#latest === undefined || nowMs - this.#latest.atMs > PICTURE_FRESH_MS)
      this.#latest = {
        text: pictureOf(this.#sources).then((picture) => JSON.stringify(picture)),
        atMs: nowMs,
      };
    return this.#latest.text;
  }
}

async function pictureOf(sources: ApiSources): Promise<ClusterPicture> {
  const [reports, views] = await Promise.all([sources.reports(), sources.members()]);
  const { member, cluster, version } = sources.status();
  const members = views.map((view): ClusterMember => {
    const heard = reports.get(view.name);
    if (heard === undefined) return view;
    const { report, ageMs } = heard;
    return { ...view, sessions: report.sessions, version: report.version, heardMsAgo: ageMs, report };
  });
  const living = members.filter(({ phase }) => phase === "alive" || phase === "suspect").length;
  const picture = {
    at: new Date(sources.clock.wallMs()).toISOString(),
    cluster,
    member,
    version,
    sessions: sources.registry.list().reduce((sum, { id }) => sum + sources.catalogue.countOfService(id), 0),
    members,
    vips: vipsOf(sources, members, reports),
    services: servicesOf(sources, living),
  };
  return { ...picture, alerts: alertsOf(picture) };
}

/** What a member that is silent told last it does not tell any more. */
function vipsOf(
  sources: ApiSources,
  members: readonly ClusterMember[],
  reports: ReadonlyMap<string, HeardReport>,
): ClusterVip[] {
  const heard = members.filter(({ phase }) => phase === "alive" || phase === "suspect");
  const told = heard.flatMap(({ name }) => reports.get(name)?.report ?? []);
  const places = new Map<string, ClusterVip["announcements"]>();
  for (const { member, announcements } of told)
    for (const { vip, places: ofMember } of announcements) {
      const all = places.get(vip) ?? [];
      for (const place of ofMember) all.push({ member, ...place });
      places.set(vip, all);
    }
  return vipViews(sources).map((view) => ({ ...view, announcements: places.get(view.vip) ?? [] }));
}

function servicesOf(sources: ApiSources, livingCount: number): ClusterService[] {
  const { registry, catalogue } = sources;
  const ports = (NAT_PORT_COUNT / sources.memberNumberCount()) * Math.max(1, livingCount);
  const { refused } = sources.clashes();
  return registry.list().map((service) => {
    const sessionsOf = (key: string) => catalogue.countOfEndpoint(service.id, key);
    const state = (at: { readonly address: string; readonly port: number }) => {
      const endpoint = endpointKey(at.address, at.port);
      const { health, reason, unproven: ways = [] } = sources.endpointHealth(service.id, endpoint);
      const unproven = ways.map((way) => `${way.vip}: ${way.reason}`).join("; ");
      const sessions = sessionsOf(endpoint);
      const natPortShare = Math.round(Math.min(1, sessions / ports) * 10_000) / 10_000;
      const texts = { ...(reason !== undefined && { reason }), ...(unproven !== "" && { unproven }) };
      return { endpoint, health, ...texts, sessions, natPortShare };
    };
    const why = refused.get(service.id)?.message;
    return {
      id: service.id,
      name: service.name,
      protocol: protocolName(service.protocol) as ServiceProtocol,
      vips: [...service.vips],
      port: service.port,
      selection: service.selection,
      sessions: catalogue.countOfService(service.id),
      source: registry.isFromFile(service.id) ? "file" : "api",
      draining: service.removal !== undefined,
      ...(why !== undefined && { refused: why }),
      endpoints: [
        ...service.endpoints.map((each) => ({ ...state(each), state: each.state, weight: each.weight })),
        ...(service.leaving ?? []).map((each) => ({ ...state(each), state: "leaving" as const, weight: 0 })),
      ],
    };
  });
}
