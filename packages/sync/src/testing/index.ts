// What tests of other packages may use.

export { checkChange } from "../configuration/change.ts";
export { ConfigurationDocument } from "../configuration/configuration-document.ts";
export { derive } from "../configuration/derivation.ts";
export { decodeEntry, type Entry as ConfigurationEntry, encodeEntry } from "../configuration/entries.ts";
export { BatchWriter, readBatch } from "../engine/batch.ts";
export { ReplicationEngine } from "../engine/engine.ts";
export { SessionReplica } from "../engine/replica.ts";
export { actorOf, counterOf, documentActorOf } from "../journal/actor.ts";
export { automergeJournal } from "../journal/automerge-segment.ts";
export { type ChangeRefusal, encodeChange, type VerifiedChange, verifyChange } from "../journal/change.ts";
export { memoryJournal } from "../journal/memory-segment.ts";
export { decodePayload, type Entry, encodePayload } from "../journal/payload.ts";
export { EMPTY_HEAD, type JournalFactory, type Segment } from "../journal/segment.ts";
export { MessageWriter } from "../messages/bytes.ts";
export { CAPABILITIES, CARRIES_UNKNOWN, LIST_VOTES } from "../messages/capabilities.ts";
export { decodePeerMessage, encodePeerMessage } from "../messages/codec.ts";
export { writeFields } from "../messages/fields.ts";
export {
  decodeLinkMessage,
  encodeLinkMessage,
  type Greeting,
  PROTOCOL_VERSION,
} from "../messages/greeting.ts";
export type { Actor, Summary } from "../ports/journals.ts";
export type { DeltaBatch, EngineLink, ToEngine, ToView } from "../ports/link.ts";
export type { PeerMessage } from "../ports/messages.ts";
export type { Store } from "../ports/store.ts";
export type { PeerIdentity, Transport, TransportHandlers } from "../ports/transport.ts";
export { startSync } from "../start-sync.ts";
export { type Disk, type DiskFile, machineDisk } from "../store/disk.ts";
export { FileStore } from "../store/file-store.ts";
export { MemoryDisk } from "../store/memory-store.ts";
export { readStore } from "../store/read.ts";
export type { Sync } from "../sync.ts";
export { isStranger, laterListOf, NOT_CONFIGURED, REMOVED, refusalOf } from "../transport/admission.ts";
export { MemoryNetwork } from "../transport/memory.ts";
export type { Listing } from "../transport/settings.ts";
export { WsTransport } from "../transport/websocket.ts";
export { foreignRecord, furtherFact } from "./foreign.ts";
