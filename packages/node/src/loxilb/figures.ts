// Packets and bytes by service and endpoint, summed over sessions when somebody asks, and kept for a moment:
// a client that asks for ever costs one walk a second.
import type { PathCounters } from "@holdfast/api";
import type { ServiceId, SessionId } from "@holdfast/model";
import { COUNTER_BATCH_COUNT } from "../cluster/counters.ts";
import { endpointKey } from "../services/specification.ts";
import type { KnownSession } from "../sessions/tables.ts";
import type { LoxilbContext } from "./context.ts";

/** The other members are asked only up to so many sessions; beyond, the figures are this member's own. */
export const REMOTE_SESSION_COUNT_MAX = 4096;
const KEPT_MS = 1000;

export interface Traffic {
  packets: number;
  bytes: number;
}

export interface Figures {
  readonly byEndpoint: ReadonlyMap<string, Traffic>;
  readonly byService: ReadonlyMap<ServiceId, Traffic>;
  readonly byClient: ReadonlyMap<string, Traffic>;
  readonly total: Traffic;
}

export const endpointFigureKey = (service: ServiceId, endpoint: string) => `${service} ${endpoint}`;

/** Every living session with its counters, a batch at a time; the loop turns between batches. */
export async function* sessionBatches({
  sources,
  counters,
}: LoxilbContext): AsyncGenerator<readonly (readonly [KnownSession, readonly PathCounters[]])[]> {
  const { sessions, catalogue } = sources;
  const remote = sessions.size <= REMOTE_SESSION_COUNT_MAX;
  let batch: KnownSession[] = [];
  const finish = async () => {
    const known = batch;
    const records = known.map(({ record }) => record);
    batch = [];
    const rows: ReadonlyMap<SessionId, readonly PathCounters[]> = remote
      ? await counters.ofMany(records)
      : new Map(records.map((record) => [record.id, counters.ownOf(record)]));
    if (!remote) await new Promise<void>((resolve) => setImmediate(resolve));
    return known.map((each) => [each, rows.get(each.record.id) ?? []] as const);
  };
  for (const id of catalogue.order.after(undefined)) {
    const known = sessions.get(id);
    if (known === undefined || known.kind.phaseOf(known.record) === "closed") continue;
    batch.push(known);
    if (batch.length === COUNTER_BATCH_COUNT) yield await finish();
  }
  if (batch.length > 0) yield await finish();
}

export class FigureKeeper {
  readonly #context: LoxilbContext;
  #kept: { readonly atMs: number; readonly figures: Promise<Figures> } | undefined;

  constructor(context: LoxilbContext) {
    this.#context = context;
  }

  figures(): Promise<Figures> {
    const nowMs = this.#context.sources.clock.nowMs();
    if (this.#kept === undefined || nowMs - this.#kept.atMs > KEPT_MS)
      this.#kept = { atMs: nowMs, figures: this.#sum() };
    return this.#kept.figures;
  }

  async #sum(): Promise<Figures> {
    const byEndpoint = new Map<string, Traffic>();
    const byService = new Map<ServiceId, Traffic>();
    const byClient = new Map<string, Traffic>();
    const total: Traffic = { packets: 0, bytes: 0 };
    const add = (map: Map<string, Traffic>, key: string, { packets, bytes }: Traffic) => {
      const sum = map.get(key);
      if (sum === undefined) map.set(key, { packets, bytes });
      else {
        sum.packets += packets;
        sum.bytes += bytes;
      }
    };
    for await (const batch of sessionBatches(this.#context)) {
      for (const [{ kind, record }, rows] of batch) {
        const port = kind.shownPort(record);
        for (const { client, up, down } of rows) {
          const both = { packets: up.packets + down.packets, bytes: up.bytes + down.bytes };
          add(byService, record.serviceId, both);
          if (byClient.size < REMOTE_SESSION_COUNT_MAX) add(byClient, `${record.serviceId} ${client}`, both);
          if (port !== undefined)
            add(
              byEndpoint,
              endpointFigureKey(record.serviceId, endpointKey(port.endpoint, port.endpointPort)),
              both,
            );
          total.packets += both.packets;
          total.bytes += both.bytes;
        }
      }
    }
    return { byEndpoint, byService, byClient, total };
  }
}
