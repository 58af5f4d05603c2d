// How replication is doing, for the API and the metrics.
import type { EngineStatus } from "../ports/engine.ts";
import type { Transport } from "../ports/transport.ts";
import { type Acknowledgements, LAG_BOUNDS_MS } from "./acknowledgements.ts";
import type { Deliveries } from "./deliveries.ts";
import type { IdTable } from "./id-table.ts";
import type { Incarnations } from "./incarnations.ts";
import type { Offers } from "./offers.ts";
import type { Peers } from "./peers.ts";
import type { Questions } from "./questions.ts";
import type { Readiness } from "./readiness.ts";
import type { Retirement } from "./retirement.ts";
import type { Rewriter } from "./rewriter.ts";
import type { ReplicationSettings } from "./settings.ts";
import type { Shelf } from "./shelf.ts";
import type { Totals } from "./totals.ts";

export interface StatusPorts {
  readonly settings: ReplicationSettings;
  readonly transport: Transport;
  readonly totals: Totals;
  readonly ids: IdTable;
  readonly shelf: Shelf;
  readonly incarnations: Incarnations;
  readonly peers: Peers;
  readonly offers: Offers;
  readonly deliveries: Deliveries;
  readonly acknowledgements: Acknowledgements;
  readonly questions: Questions;
  readonly rewriter: Rewriter;
  readonly retirement: Retirement;
  readonly readiness: Readiness;
}

export function statusOf(ports: StatusPorts): EngineStatus {
  const { settings, transport, peers, acknowledgements, rewriter } = ports;
  const others = settings.members.filter(({ number }) => number !== settings.member.number);
  const connected = peers.connected();
  return {
    state: ports.readiness.state(),
    peers: others.map(({ number, name }) => ({
      number,
      name,
      connected: connected.includes(number),
      lagTicks: acknowledgements.lagTicks(number),
      lagMs: acknowledgements.lagMs(number),
      queuedBytes: transport.queuedBytes(number),
      capabilities: ports.offers.of(number),
    })),
    segmentCount: ports.shelf.segmentCount(),
    carriedCount: ports.incarnations.own.journal.segments.size,
    sessionCount: ports.ids.size,
    totals: {
      ...ports.totals.all(),
      ...acknowledgements.totals,
      ...ports.questions.totals,
      ...peers.totals,
      ...ports.retirement.totals,
      rewritten: rewriter.written,
      waiting: ports.deliveries.waiting,
    },
    lagHistogram: { boundsMs: LAG_BOUNDS_MS, counts: [...acknowledgements.lagCounts] },
  };
}
