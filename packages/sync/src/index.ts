// sessions and configuration as Automerge CRDTs between members
export * from "./certificates/index.ts";
export { JOURNAL_MEMORY_MS } from "./engine/settings.ts";
export type { AnyView } from "./engine/views.ts";
export * from "./journal-report.ts";
export {
  ALLOWED_SOURCES,
  CAPABILITIES,
  CARRIES_UNKNOWN,
  capabilitiesOf,
  LIST_VOTES,
  MEMBER_LISTS,
  TCP_UDP,
} from "./messages/capabilities.ts";
export type { EngineStatus } from "./ports/engine.ts";
export type { PeerIdentity } from "./ports/transport.ts";
export { startSync } from "./start-sync.ts";
export type * from "./sync.ts";
export type {
  Applicant,
  ConfiguredMember,
  HostPort,
  JoinAddress,
  LinkTiming,
  Listing,
} from "./transport/settings.ts";
export { WsTransport } from "./transport/websocket.ts";
export type { HostCounters } from "./worker/protocol.ts";
