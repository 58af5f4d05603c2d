// The configuration that all members share and each may change: an Automerge document of flat entries (entries.ts).
//
// Every document begins with the same change (fixed actor, time 0), so that documents made independently are one. When
// its history grows, the member that notices begins a new epoch: a first change with everything in it, again with a
// fixed actor, and the others take it over. Nothing is lost between epochs, since entries join by themselves: whoever
// holds a greater entry than the new epoch writes it there once more.
import { createHash } from "node:crypto";
import * as Automerge from "@automerge/automerge";
import {
  type Address,
  type ConfigurationChange,
  conflictOf,
  type FileImage,
  HoldfastError,
  type MemberName,
  type Random,
  type Service,
  type ServiceId,
  type ServicePlace,
} from "@holdfast/model";
import { type CheckedChange, checkChange } from "./change.ts";
import { type Derived, derive, type Note, type Withheld } from "./derivation.ts";
import {
  besides,
  CARRIED_BYTES_MAX,
  CARRIED_KEY_COUNT_MAX,
  CONFIGURATION_BYTES_MAX,
  canonicalText,
  compareEntries,
  decodeEntry,
  drainKey,
  ENTRY_BYTES_MAX,
  ENTRY_COUNT_MAX,
  type Entry,
  encodeEntry,
  endpointKey,
  fileKey,
  isFirstKind,
  isNote,
  isUnderstood,
  noteKey,
  pinKey,
  serviceKey,
} from "./entries.ts";
import { apply, create, type Handle, resolve } from "./handle.ts";
import { ENDPOINT_FIELDS, SERVICE_FIELDS, serviceProblem } from "./validation.ts";

/** Changes after which a new epoch begins. */
export const HISTORY_COUNT_MAX = 512;
/** … and their bytes: all of it fits one message. */
export const HISTORY_BYTES_MAX = 1024 * 1024;
/** Tombstones that a new epoch takes over; the ones with the smallest revisions stay behind. */
const TOMBSTONE_COUNT_MAX = 1_024;
const TRANSACTION_LENGTH = 8;
/** Changes of one message; a document never has more. */
const CHANGE_COUNT_MAX = 4_096;

export interface ConfigurationPorts {
  readonly random: Random;
  /** Sends to one member, or to all. */
  readonly send: (to: number | undefined, heads: readonly string[], changes: readonly Uint8Array[]) => void;
  /** The document changed: keep what `save` gives, now or a little later, over a restart. */
  readonly keep: (save: () => Uint8Array) => void;
  /** Default HISTORY_COUNT_MAX. */
  readonly historyCountMax?: number;
  /** Called with the reason when a peer's changes are refused. */
  readonly refused?: (from: number, reason: string) => void;
}

interface Epoch {
  readonly number: number;
  /** Hash of its first change: of two epochs of one number the greater stays. */
  readonly root: string;
}

export class ConfigurationDocument {
  readonly #ports: ConfigurationPorts;
  readonly #actor: string;
  readonly #listeners = new Set<() => void>();
  #handle: Handle;
  #epoch: Epoch;
  #entries: ReadonlyMap<string, Entry> = new Map();
  /** The document that they were read from. */
  #readFrom: Handle | undefined;
  /** Bytes of changes behind the epoch's first one, and the heads up to which they were counted. */
  #counted = { root: "", heads: [] as readonly string[], bytes: 0 };
  /** Texts as they were read last: an edit changes few of many. */
  readonly #read = new Map<string, { readonly text: string; readonly entry: Entry | undefined }>();
  #derived: Derived = derive(new Map());
  #version: string | undefined;

  constructor(ports: ConfigurationPorts) {
    this.#ports = ports;
    // Never used twice: an actor that writes two changes of one number would break every document.
    this.#actor = Buffer.from(ports.random.bytes(16)).toString("hex");
    const { handle, epoch } = this.#begin(0, new Map());
    this.#handle = handle;
    this.#epoch = epoch;
    this.#derive();
  }

  // -------------------------------------------------------------------------------------------------------------
  // Reading.

  /** By id. */
  services(): readonly Service[] {
    return this.#derived.services;
  }

  service(id: ServiceId): Service | undefined {
    return this.#derived.services.find((service) => service.id === id);
  }

  /** Secondary VIPs that a service does not get, as another one has them; both changes were made at once. */
  withheld(): readonly Withheld[] {
    return this.#derived.withheld;
  }

  /** It was there and was deleted. What is merely unknown here was not. */
  isDeleted({ serviceId, endpoint }: ServicePlace): boolean {
    const service = this.#entries.get(serviceKey(serviceId));
    if (service !== undefined && service.value === undefined) return true;
    if (service === undefined || endpoint === undefined) return false;
    const entry = this.#entries.get(endpointKey(serviceId, endpoint.address, endpoint.port));
    return entry !== undefined && entry.value === undefined;
  }

  /** What this member's file said when it was last applied, whoever remembers it; undefined: it never had one. */
  fileOf(member: MemberName): ReadonlyMap<ServiceId, FileImage> | undefined {
    return this.#derived.files.get(member);
  }

  drainedMembers(): ReadonlySet<MemberName> {
    return this.#derived.drained;
  }

  pins(): ReadonlyMap<Address, MemberName> {
    return this.#derived.pins;
  }

  notes(): ReadonlyMap<string, Note> {
    return this.#derived.notes;
  }

  /** Changes with the content, and with nothing else: equal at all members that agree. */
  version(): string {
    if (this.#version !== undefined) return this.#version;
    this.#version = digestOf(canonicalText(versionParts(this.#entries, this.#derived)));
    return this.#version;
  }

  /** Entries of later versions, which are kept and handed on. */
  get carriedCount(): number {
    let count = 0;
    for (const [key, entry] of this.#entries) if (!isUnderstood(key, entry)) count++;
    return count;
  }

  get historyCount(): number {
    return this.#handle.stats().numChanges;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  // -------------------------------------------------------------------------------------------------------------
  // Writing. Throws HoldfastError on an operator's mistake, before anything is written.

  /** All of it or nothing, here and at every other member. Errors: SERVICE_INVALID, SERVICE_VIP_TAKEN. */
  commit(change: ConfigurationChange): void {
    const { put = [], remove = [], file, isFirst = false } = change;
    this.#check(put, remove);
    const puts = new Map<string, unknown>();
    for (const id of remove) {
      puts.set(serviceKey(id), undefined);
      for (const key of this.#endpointKeys(id)) puts.set(key, undefined);
    }
    for (const service of put) {
      const { endpoints, leaving = [], ...value } = service;
      puts.set(serviceKey(service.id), this.#withUnknown(serviceKey(service.id), value, SERVICE_FIELDS));
      for (const key of this.#endpointKeys(service.id)) puts.set(key, undefined);
      for (const { address, port, sinceMs, graceMs, ...rest } of leaving)
        puts.set(endpointKey(service.id, address, port), { ...rest, leaving: { sinceMs, graceMs } });
      for (const { address, port, ...rest } of endpoints)
        puts.set(
          endpointKey(service.id, address, port),
          this.#withUnknown(endpointKey(service.id, address, port), rest, ENDPOINT_FIELDS),
        );
    }
    if (file !== undefined) {
      puts.set(fileKey(file.member, ""), true);
      for (const id of file.remove) puts.set(fileKey(file.member, id), undefined);
      for (const [id, image] of file.put) puts.set(fileKey(file.member, id), image);
    }
    this.#put(puts, isFirst);
  }

  /** Creates or replaces. Errors as of `commit`. */
  putService(service: Service): void {
    this.commit({ put: [service] });
  }

  deleteService(id: ServiceId): void {
    this.commit({ remove: [id] });
  }

  setMemberDrained(member: MemberName, drained: boolean): void {
    this.#put(new Map([[drainKey(member), drained ? true : undefined]]));
  }

  /** undefined removes the pin. */
  setPin(vip: Address, member: MemberName | undefined): void {
    this.#put(new Map([[pinKey(vip), member]]));
  }

  /** undefined removes the note. */
  setNote(name: string, note: Note | undefined): void {
    if (note !== undefined && !isNote(name, note))
      throw new HoldfastError("SERVICE_INVALID", { reason: `the note ${name.slice(0, 80)} is too long` });
    this.#put(new Map([[noteKey(name), note]]));
  }

  // -------------------------------------------------------------------------------------------------------------
  // Between members, and over a restart.

  /** A member is connected, or may have missed what it was sent: tell it what is here. */
  connected(member: number): void {
    this.#ports.send(member, this.#handle.getHeads(), []);
  }

  /** What a member sent: its heads, and changes that it thinks are missing here. Invalid ones change nothing. */
  receive(from: number, heads: readonly string[], changes: readonly Uint8Array[]): void {
    if (changes.length > 0 && !this.#take(from, changes)) return;
    if (!heads.every((head) => this.#has(head))) {
      // After a message with changes that would be a peer that sends what does not belong together.
      if (changes.length === 0) this.#sendAll(from);
      return;
    }
    const missing = this.#handle.getChanges([...heads]);
    if (missing.length > 0) this.#ports.send(from, this.#handle.getHeads(), missing);
  }

  /** What `keep` stored in an earlier life. A damaged document is left out; false says so. */
  load(document: Uint8Array): boolean {
    let stored: Handle;
    try {
      stored = Automerge.getBackend(Automerge.load(document));
    } catch {
      return false;
    }
    const changes = stored.getChanges([]);
    stored.free();
    return this.#take(undefined, changes);
  }

  save(): Uint8Array {
    return this.#handle.save();
  }

  free(): void {
    this.#handle.free();
  }

  #sendAll(to: number): void {
    this.#ports.send(to, this.#handle.getHeads(), this.#handle.getChanges([]));
  }

  /** Looks at the configuration as it would be: a VIP may move from one service to another in one change. */
  #check(put: readonly Service[], remove: readonly ServiceId[]): void {
    const after = new Map(this.#derived.services.map((service) => [service.id, service]));
    for (const id of remove) after.delete(id);
    for (const service of put) {
      const problem = serviceProblem(service);
      if (problem !== undefined) throw new HoldfastError("SERVICE_INVALID", { reason: problem });
      after.set(service.id, service);
    }
    for (const service of put) {
      const conflict = conflictOf(service, after.values());
      if (conflict !== undefined) throw new HoldfastError("SERVICE_VIP_TAKEN", { ...conflict });
    }
  }

  /** What later versions added to the value stays, whoever edits the rest. */
  #withUnknown(key: string, value: object, fields: Readonly<Record<string, true>>): object {
    const before = this.#entries.get(key)?.value ?? {};
    const unknown = Object.entries(before).filter(([name]) => !Object.hasOwn(fields, name));
    return unknown.length === 0 ? value : { ...Object.fromEntries(unknown), ...value };
  }

  #put(puts: ReadonlyMap<string, unknown>, isFirst = false): void {
    const edits = new Map<string, Entry>();
    for (const [key, value] of puts) {
      const known = this.#entries.get(key);
      if (known?.value !== undefined && !isUnderstood(key, known))
        throw new HoldfastError("SERVICE_INVALID", {
          reason: `a later version wrote ${key}, and this one cannot read it: change it where that version runs`,
        });
      if (canonicalText(known?.value ?? null) === canonicalText(value ?? null)) continue;
      // Who knows nothing of the cluster yet gives way to all that was ever said.
      edits.set(key, {
        revision: known === undefined && isFirst ? 0 : (known?.revision ?? 0) + 1,
        value,
        ...besides(key, value, known),
      });
    }
    if (edits.size === 0) return;
    const transaction = digestOf(canonicalText([...edits].map(([key, { value }]) => [key, value ?? null])));
    let bytes = 0;
    for (const [key, { text }] of this.#read) bytes += key.length + text.length;
    for (const [key, entry] of edits) {
      const whole: Entry = { ...entry, transaction: transaction.slice(0, TRANSACTION_LENGTH) };
      const { length } = encodeEntry(whole);
      if (length > ENTRY_BYTES_MAX)
        throw new HoldfastError("SERVICE_INVALID", {
          reason: `it is longer than ${ENTRY_BYTES_MAX} characters`,
        });
      const before = this.#read.get(key);
      bytes += length - (before === undefined ? -key.length : before.text.length);
      edits.set(key, whole);
    }
    const isGrowing = [...edits.values()].some(({ value }) => value !== undefined);
    if (isGrowing && (this.#entries.size + edits.size > ENTRY_COUNT_MAX || bytes > CONFIGURATION_BYTES_MAX))
      throw new HoldfastError("SERVICE_INVALID", { reason: "the configuration is full" });
    const heads = this.#handle.getHeads();
    this.#write(this.#handle, edits);
    this.#settle(undefined, heads, [...edits.keys()]);
  }

  #write(handle: Handle, edits: ReadonlyMap<string, Entry>): void {
    for (const [key, entry] of [...edits].sort(([a], [b]) => (a < b ? -1 : 1))) {
      handle.put("_root", key, encodeEntry(entry));
    }
    handle.commit(undefined, 0);
  }

  /**
   * After the document changed: shorten its history, keep it, tell the others what they lack, tell the listeners.
   * `touched`: keys that were written; without them all are read.
   */
  #settle(from: number | undefined, heads: readonly string[], touched?: readonly string[]): void {
    this.#derive(touched);
    const countMax = this.#ports.historyCountMax ?? HISTORY_COUNT_MAX;
    if (this.historyCount > countMax || this.#historyBytes() > HISTORY_BYTES_MAX) this.#nextEpoch();
    this.#ports.keep(() => this.save());
    if (from === undefined) {
      const changes = this.#handle.getChanges(this.#has(heads[0] ?? "") ? [...heads] : []);
      if (changes.length > 0) this.#ports.send(undefined, this.#handle.getHeads(), changes);
    }
    for (const listener of [...this.#listeners]) listener();
  }

  /** Automerge encodes a change each time that it is asked for: only those since the last time are. */
  #historyBytes(): number {
    const { root } = this.#epoch;
    const { heads, bytes } = this.#counted.root === root ? this.#counted : { heads: [root], bytes: 0 };
    const since = this.#handle.getChanges([...heads]).reduce((sum, { length }) => sum + length, 0);
    this.#counted = { root, heads: this.#handle.getHeads(), bytes: bytes + since };
    return bytes + since;
  }

  #has(hash: string): boolean {
    return this.#handle.getChangeByHash(hash) !== null;
  }

  /** false: refused, nothing changed. */
  #take(from: number | undefined, changes: readonly Uint8Array[]): boolean {
    const refuse = (reason: string): false => {
      if (from !== undefined) this.#ports.refused?.(from, reason);
      return false;
    };
    if (changes.length > CHANGE_COUNT_MAX) return refuse("too-many-changes");
    const checked: CheckedChange[] = [];
    for (const bytes of changes) {
      const change = checkChange(bytes);
      if (typeof change === "string") return refuse(change);
      checked.push(change);
    }
    const root = checked.find((change) => change.dependencies.length === 0);
    if (root !== undefined && root.hash !== this.#epoch.root)
      return this.#meet(root, checked, from) || refuse("broken");
    const known = new Set(checked.map((change) => change.hash));
    const fresh = checked.filter((change) => !this.#has(change.hash));
    if (fresh.length === 0) return true;
    // Changes whose foundations are elsewhere would wait in the document for ever.
    for (const { dependencies } of fresh) {
      for (const hash of dependencies) {
        if (!known.has(hash) && !this.#has(hash)) {
          if (from !== undefined) this.#ports.send(from, this.#handle.getHeads(), []);
          return false;
        }
      }
    }
    if (!this.#hasRoomFor(fresh)) return refuse("too-much-unknown");
    const heads = this.#handle.getHeads();
    const applied = apply(this.#handle, fresh);
    if (applied === undefined) {
      // The handle may be poisoned: begin anew with what is known; the history comes from the peers.
      const { handle, epoch } = this.#begin(this.#epoch.number + 1, this.#entries);
      this.#handle = handle;
      this.#epoch = epoch;
      return refuse("unapplicable");
    }
    // To the others it comes from its writer; only those without a connection to it need it from here.
    this.#settle(
      from,
      heads,
      fresh.flatMap(({ keys }) => keys),
    );
    return true;
  }

  /** What is kept without being understood has a limit of its own: nobody here could clear it away. */
  #hasRoomFor(changes: readonly CheckedChange[]): boolean {
    const lengths = new Map<string, number>();
    for (const { carried } of changes)
      for (const [key, length] of carried) lengths.set(key, Math.max(length, lengths.get(key) ?? 0));
    if (lengths.size === 0) return true;
    for (const [key, { text, entry }] of this.#read)
      if (entry !== undefined && !isUnderstood(key, entry) && !lengths.has(key))
        lengths.set(key, key.length + text.length);
    let bytes = 0;
    for (const length of lengths.values()) bytes += length;
    return lengths.size <= CARRIED_KEY_COUNT_MAX && bytes <= CARRIED_BYTES_MAX;
  }

  /** A document of another epoch: the greater one goes on, with the greater entries of both. */
  #meet(root: CheckedChange, changes: readonly CheckedChange[], from: number | undefined): boolean {
    if (!this.#hasRoomFor(changes)) return false;
    const theirs: Epoch = { number: epochOf(root.message), root: root.hash };
    const handle = apply(create(this.#actor), changes);
    if (handle === undefined || handle.getHeads().length === 0) return false;
    const heads = this.#handle.getHeads();
    const [stays, goes] =
      compareEpochs(theirs, this.#epoch) > 0 ? [handle, this.#handle] : [this.#handle, handle];
    if (stays === handle) this.#epoch = theirs;
    const kept = resolve(stays);
    const edits = new Map<string, Entry>();
    for (const [key, entry] of resolve(goes)) {
      const other = kept.get(key);
      if (other === undefined || compareEntries(entry, other) > 0) edits.set(key, entry);
    }
    goes.free();
    this.#handle = stays;
    if (edits.size > 0) this.#write(stays, edits);
    this.#settle(edits.size > 0 ? undefined : (from ?? -1), heads);
    if (from !== undefined && stays !== handle) this.#sendAll(from);
    return true;
  }

  #nextEpoch(): void {
    const tombstones = [...this.#entries].filter(([, entry]) => entry.value === undefined);
    tombstones.sort(([, a], [, b]) => b.revision - a.revision);
    const left = new Set(tombstones.slice(TOMBSTONE_COUNT_MAX).map(([key]) => key));
    const entries = new Map([...this.#entries].filter(([key]) => !left.has(key)));
    const { handle, epoch } = this.#begin(this.#epoch.number + 1, entries);
    this.#handle.free();
    this.#handle = handle;
    this.#epoch = epoch;
  }

  /** The first change of an epoch: the same bytes wherever it is made of the same entries. */
  #begin(number: number, entries: ReadonlyMap<string, Entry>): { handle: Handle; epoch: Epoch } {
    const writer = create("00".repeat(16));
    for (const [key, entry] of [...entries].sort(([a], [b]) => (a < b ? -1 : 1))) {
      writer.put("_root", key, encodeEntry(entry));
    }
    const message = `holdfast configuration ${number}`;
    const root = entries.size > 0 ? writer.commit(message, 0) : writer.emptyChange(message, 0);
    const handle = writer.clone(this.#actor);
    writer.free();
    return { handle, epoch: { number, root: root as string } };
  }

  #endpointKeys(id: ServiceId): string[] {
    const prefix = `endpoint/${id}|`;
    return [...this.#entries]
      .filter(([key, e]) => key.startsWith(prefix) && e.value !== undefined)
      .map(([key]) => key);
  }

  /** Of keys that were `touched` the entries are read, unless there are others than before: they have an order. */
  #resolved(touched: readonly string[] | undefined): ReadonlyMap<string, Entry> {
    const read = (key: string, text: unknown) => {
      const known = this.#read.get(key);
      if (known !== undefined && known.text === text) return known.entry;
      const entry = decodeEntry(key, text);
      if (typeof text === "string") this.#read.set(key, { text, entry });
      return entry;
    };
    if (touched !== undefined && this.#readFrom === this.#handle) {
      const some = resolve(this.#handle, touched, read);
      if (touched.every((key) => some.has(key) && this.#entries.has(key)))
        return new Map([...this.#entries, ...some]);
    }
    const entries = resolve(this.#handle, this.#handle.keys("_root"), read);
    for (const key of this.#read.keys()) if (!entries.has(key)) this.#read.delete(key);
    this.#readFrom = this.#handle;
    return entries;
  }

  #derive(touched?: readonly string[]): void {
    this.#entries = this.#resolved(touched);
    this.#derived = derive(this.#entries);
    this.#version = undefined;
  }
}

/**
 * What the digest is over: the same at members of different versions, since what the first version did not know counts as it
 * stands, whether it is understood here or not.
 */
function versionParts(entries: ReadonlyMap<string, Entry>, derived: Derived): unknown[] {
  const isFirst = ([key, entry]: readonly [string, Entry]) =>
    isFirstKind(key) && entry.needs === undefined && entry.rest === undefined;
  const later = [...entries].filter((each) => !isFirst(each));
  const hasNeeds = later.some(([key, { needs }]) => isFirstKind(key) && needs !== undefined);
  const { services, drained, pins, notes, files } = hasNeeds
    ? derive(new Map([...entries].filter(([, { needs }]) => needs === undefined)))
    : derived;
  const remembered = [...files].map(([member, file]) => [member, [...file]]);
  const parts: unknown[] = [services, [...drained], [...pins], [...notes], remembered];
  if (later.length > 0)
    parts.push(
      later
        .map(([key, { value = null, needs = null, rest = null }]) => [key, value, needs, rest])
        .sort(([a], [b]) => (String(a) < String(b) ? -1 : 1)),
    );
  return parts;
}

function epochOf(message: string | undefined): number {
  const match = /^holdfast configuration (\d{1,9})$/.exec(message ?? "");
  return match === null ? -1 : Number(match[1]);
}

function compareEpochs(a: Epoch, b: Epoch): number {
  return a.number - b.number || (a.root < b.root ? -1 : a.root > b.root ? 1 : 0);
}

function digestOf(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}
