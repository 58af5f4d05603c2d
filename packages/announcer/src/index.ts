// Makes ownership true on the network: ARP and NDP.
export {
  ANNOUNCED_VIP_COUNT_MAX,
  ANNOUNCER_KINDS,
  type Announced,
  type AnnouncedRank,
  type Announcement,
  type Announcer,
  type AnnouncerCounters,
  type AnnouncerKind,
  type RouterRoute,
  type RouterStatus,
  type SessionState,
} from "./announcer.ts";
export { BgpAnnouncer } from "./bgp/announcer.ts";
export {
  type BfdConfiguration,
  type BgpConfiguration,
  ROUTER_COUNT_MAX,
  type RouterConfiguration,
} from "./bgp/configuration.ts";
export { CompositeAnnouncer } from "./composite.ts";
export { type AnnouncerOptions, createAnnouncer, startAnnouncer } from "./create.ts";
export type { AnnouncerInterface, InterfacePort } from "./interfaces.ts";
export { solicitationFrame } from "./l2/frames.ts";
export { type FrameSender, openPacketSocket } from "./l2/packet-socket.ts";
