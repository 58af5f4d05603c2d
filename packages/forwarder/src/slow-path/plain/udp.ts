// Datagrams without a flow in the fast path. A client's address and port to a VIP's port is a flow (RFC
// 4787: a mapping of its own, address and port dependent); ICMP errors never end one.
import { PROTOCOL_UDP } from "@holdfast/model";
import { drop } from "../../core.ts";
import { sourcePrefix } from "../../embryos/nursery.ts";
import { isAllowedSource, type ServiceEntry } from "../../services/registry.ts";
import { isLivingFlow, type LocalFlow } from "./flow.ts";
import { type PlainInput, questionOf } from "./input.ts";
import { findPlainPlace } from "./place.ts";
import { end, entryOf, forward, install, makeFlow, publish, type Room, type Side } from "./room.ts";
import { statelessUp } from "./stateless.ts";

export function udpUp(room: Room, side: Side, input: PlainInput, entry: ServiceEntry): undefined {
  const { header, source, destination } = input;
  const { core } = room;
  const known = room.flows.byClient(entry.service.id, destination, source, header.sourcePort);
  if (isLivingFlow(known)) {
    if (input.copy) return;
    if (!known.isInstalled) install(room, known, false);
    return forward(room, input, known, "up");
  }
  if (entry.service.stateless === true) return statelessUp(room, side, input, entry);
  if (input.copy) return;
  if (!core.isReady()) return drop(core, "not-ready", input.bytes);
  if (!isAllowedSource(entry, source)) return drop(core, "source-not-allowed", input.bytes);
  if (input.asked || !room.mayBeElsewhere(destination)) return begin(room, side, input, entry);
  room.held.ask(input, questionOf(input, entry.service.id), () => begin(room, side, input, entry));
}

function begin(room: Room, side: Side, input: PlainInput, entry: ServiceEntry): undefined {
  const { header, source, destination } = input;
  const { core } = room;
  const { id } = entry.service;
  const prefix = sourcePrefix(source);
  const evict = (flow: LocalFlow) => {
    core.counters.count("embryos-evicted");
    end(room, flow, "handshakeTimeout", false);
  };
  if (!room.flows.admits(id, prefix, core.clock.nowMs(), evict))
    return drop(core, "embryo-quota", input.bytes);
  const client = { vip: destination, client: source, clientPort: header.sourcePort };
  const place = findPlainPlace(room, side, entry, client);
  if (typeof place === "string") return drop(core, place, input.bytes);
  const facts = { protocol: PROTOCOL_UDP, serviceId: id, ...client, ...place };
  const flow = makeFlow(room, { ...facts, windowScale: 0, shift: 0, marks: 0 }, "open");
  room.flows.embryo(flow, prefix);
  core.counters.count("exchanges-begun");
  install(room, flow, false);
  forward(room, input, flow, "up");
  // The client's next one comes to whoever has the VIP.
  const isTold = input.asked && !core.ownsVip(destination);
  if (isTold || entry.service.replicate === "always") publish(room, flow, true);
}

export function udpDown(room: Room, input: PlainInput, flow: LocalFlow): undefined {
  if (input.copy) return;
  if (!flow.isInstalled && entryOf(room, flow.record) !== undefined) install(room, flow, false);
  forward(room, input, flow, "down");
}
