// What members tell each other of what happened: each writes its own part, all keep the latest of every part.
// A member sends what it wrote; what a member that is gone wrote is passed on by whoever has it, so that
// nothing is lost that one survivor heard. Kept in memory: it is news, not state.
import { type Clock, MEMBER_NUMBER_COUNT_MAX, type Timer } from "@holdfast/model";
import { type Cursor, cursorText, isAfter, type Place, parseCursor } from "./cursor.ts";
import type { ClusterLink } from "./link.ts";
import { encodeWords } from "./words.ts";

/** Entries of one message. */
const MESSAGE_COUNT_MAX = 256;
/** Characters of one message's entries, about; one entry always goes. */
const MESSAGE_SIZE_MAX = 256 * 1024;
/** What comes within this time goes in one message. */
const GATHER_MS = 10;
/** So often members compare what they have, in case that a message or the other's answer was lost. */
const COMPARE_PERIOD_MS = 5_000;

export interface LogEntry<T> extends Place {
  /** Number of the member that wrote it. */
  readonly origin: number;
  readonly value: T;
}

export interface LogOptions<T> {
  readonly topic: string;
  readonly self: number;
  readonly link: Pick<ClusterLink, "request" | "onRequest" | "onConnect" | "onDisconnect" | "connected">;
  readonly clock: Clock;
  /** Of each member; the oldest are forgotten. */
  readonly keptCountMax: number;
  /** Whether another member's word is one; what is not is taken as never said. */
  readonly isValue: (value: unknown, origin: number) => value is T;
}

interface Kept<T> extends LogEntry<T> {
  /** Order of arrival here. */
  readonly arrival: number;
}

/** One stretch of one member's part, as it travels. */
interface Stretch {
  readonly origin: number;
  readonly run: number;
  readonly first: number;
  /** The sender has nothing older of this run: a gap before it cannot be filled. */
  readonly oldest: boolean;
  readonly values: unknown[];
}

interface Peer {
  /** What it has, as it said last; undefined: not heard yet. */
  has: Cursor | undefined;
  /** It was asked: what it lacks now is nobody else's to send. */
  isAsked: boolean;
  isBusy: boolean;
  again: boolean;
}

export class ReplicatedLog<T> {
  readonly #options: LogOptions<T>;
  readonly #parts = new Map<number, Kept<T>[]>();
  readonly #has = new Map<number, Place>();
  readonly #listeners = new Set<(entry: LogEntry<T>) => void>();
  readonly #peers = new Map<number, Peer>();
  readonly #compare: Timer;
  #run: number;
  #arrival = 0;
  #gathering: Timer | undefined;

  constructor(options: LogOptions<T>) {
    this.#options = options;
    const { link, topic, clock } = options;
    this.#run = Math.floor(clock.wallMs());
    link.onRequest(topic, (from, body) => this.#receive(from, body));
    link.onConnect((member) => {
      this.#peerOf(member).has = undefined;
      void this.#send(member);
    });
    // What it told us and nobody else is ours to pass on.
    link.onDisconnect(() => this.#sendAll());
    this.#compare = clock.every(COMPARE_PERIOD_MS, () => {
      for (const peer of this.#peers.values()) peer.has = undefined;
      this.#sendAll();
    });
  }

  append(value: T): void {
    const before = this.#has.get(this.#options.self);
    const sequence = before?.run === this.#run ? before.sequence + 1 : 1;
    this.#keep({ origin: this.#options.self, run: this.#run, sequence, value });
    this.#gathering ??= this.#options.clock.after(GATHER_MS, () => {
      this.#gathering = undefined;
      this.#sendAll();
    });
  }

  /** How far this member has everybody's part. */
  cursor(): Cursor {
    return new Map(this.#has);
  }

  /** The kept entries that are not before the cursor, as they came. */
  after(cursor: Cursor): readonly LogEntry<T>[] {
    return this.#lacking(cursor).sort((a, b) => a.arrival - b.arrival);
  }

  /** Whether entries after the cursor were forgotten already. */
  isGone(cursor: Cursor): boolean {
    return [...this.#parts].some(([origin, entries]) => {
      const [oldest] = entries;
      const read = cursor.get(origin);
      if (oldest === undefined || read === undefined || !isAfter(oldest, read)) return false;
      return oldest.sequence > (oldest.run === read.run ? read.sequence : 0) + 1;
    });
  }

  subscribe(listener: (entry: LogEntry<T>) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#compare.cancel();
    this.#gathering?.cancel();
    this.#listeners.clear();
  }

  #keep(entry: LogEntry<T>): void {
    const { origin, run, sequence } = entry;
    const part = this.#parts.get(origin) ?? [];
    this.#parts.set(origin, part);
    part.push({ ...entry, arrival: ++this.#arrival });
    if (part.length > this.#options.keptCountMax) part.shift();
    this.#has.set(origin, { run, sequence });
    for (const listener of [...this.#listeners]) listener(entry);
  }

  #lacking(cursor: Cursor): Kept<T>[] {
    return [...this.#parts].flatMap(([origin, part]) => {
      const read = cursor.get(origin);
      return part.filter((entry) => isAfter(entry, read));
    });
  }

  #peerOf(member: number): Peer {
    const peer = this.#peers.get(member) ?? { has: undefined, isAsked: false, isBusy: false, again: false };
    this.#peers.set(member, peer);
    return peer;
  }

  #sendAll(): void {
    for (const member of this.#options.link.connected()) void this.#send(member);
  }

  /**
   * One message at a time, until it has what we are to tell it. The first of a link only asks what it has.
   */
  async #send(member: number): Promise<void> {
    const peer = this.#peerOf(member);
    if (peer.isBusy) {
      peer.again = true;
      return;
    }
    peer.isBusy = true;
    try {
      do {
        peer.again = false;
        const isQuestion = peer.has === undefined;
        const stretches = peer.has === undefined ? [] : this.#stretchesFor(peer.has, peer.isAsked);
        peer.isAsked = isQuestion;
        if (!isQuestion && stretches.length === 0) break;
        const body = encode({ has: cursorText(this.#has), stretches });
        const answer = await this.#options.link.request(member, this.#options.topic, body);
        const has = answer === undefined ? undefined : decode(answer)?.has;
        // It does not answer, or does not take what it is told: the next comparison tries again.
        if (has === undefined || (peer.has !== undefined && cursorText(has) === cursorText(peer.has))) break;
        peer.has = has;
        peer.again = true;
      } while (peer.again && this.#options.link.connected().includes(member));
    } finally {
      peer.isBusy = false;
    }
  }

  /** Others tell their own part themselves while they can. */
  #isOursToTell(origin: number): boolean {
    return origin === this.#options.self || !this.#options.link.connected().includes(origin);
  }

  /** What a member with `has` lacks of what is ours to tell, or of `all`. */
  #stretchesFor(has: Cursor, all: boolean): Stretch[] {
    const stretches: Stretch[] = [];
    let count = 0;
    let size = 0;
    const lacking = this.#lacking(has).filter(({ origin }) => all || this.#isOursToTell(origin));
    for (const { origin, run, sequence, value } of lacking) {
      size += JSON.stringify(value).length;
      if (count > 0 && (count >= MESSAGE_COUNT_MAX || size > MESSAGE_SIZE_MAX)) break;
      count++;
      const last = stretches.at(-1);
      if (last?.origin === origin && last.run === run && last.first + last.values.length === sequence) {
        last.values.push(value);
        continue;
      }
      const first = this.#parts.get(origin)?.find((kept) => kept.run === run)?.sequence;
      stretches.push({ origin, run, first: sequence, oldest: first === sequence, values: [value] });
    }
    return stretches;
  }

  #receive(from: number, body: Uint8Array): Uint8Array {
    const message = decode(body);
    if (message !== undefined) {
      for (const stretch of message.stretches) this.#take(stretch);
      const peer = this.#peerOf(from);
      peer.has = message.has;
      if (this.#lacking(message.has).some(({ origin }) => this.#isOursToTell(origin)))
        this.#gathering ??= this.#options.clock.after(GATHER_MS, () => {
          this.#gathering = undefined;
          this.#sendAll();
        });
    }
    return encode({ has: cursorText(this.#has), stretches: [] });
  }

  #take({ origin, run, first, oldest, values }: Stretch): void {
    if (origin === this.#options.self && run >= this.#run) {
      this.#runAfter(run);
      return;
    }
    const known = this.#has.get(origin);
    const next = known?.run === run ? known.sequence + 1 : 1;
    if (first > next && !oldest) return;
    for (const [index, value] of values.entries()) {
      const entry = { origin, run, sequence: first + index };
      if (!isAfter(entry, this.#has.get(origin))) continue;
      if (this.#options.isValue(value, origin)) this.#keep({ ...entry, value });
      // Its place counts: it is not asked for again.
      else this.#has.set(origin, { run, sequence: entry.sequence });
    }
  }

  /** The clock went back over a restart: what is written now comes after what the others have of before. */
  #runAfter(run: number): void {
    const { self } = this.#options;
    if (run === this.#run) return;
    const part = this.#parts.get(self) ?? [];
    const written = part.filter((entry) => entry.run === this.#run);
    this.#run = run + 1;
    this.#parts.set(
      self,
      part.filter((entry) => !written.includes(entry)),
    );
    for (const { value } of written) this.append(value);
  }
}

interface Message {
  readonly has: string;
  readonly stretches: readonly Stretch[];
}

const encode = (message: Message) => encodeWords(message);

/** Another member's message; undefined when it is none. */
function decode(bytes: Uint8Array): { readonly has: Cursor; readonly stretches: Stretch[] } | undefined {
  try {
    const { has, stretches } = JSON.parse(new TextDecoder().decode(bytes)) as Partial<Message>;
    const cursor = typeof has === "string" ? parseCursor(has) : undefined;
    if (cursor === undefined || !Array.isArray(stretches)) return undefined;
    return { has: cursor, stretches: (stretches as unknown[]).filter(isStretch) };
  } catch {
    return undefined;
  }
}

function isStretch(value: unknown): value is Stretch {
  const { origin, run, first, oldest, values } = (value ?? {}) as Partial<Record<keyof Stretch, unknown>>;
  const isCount = (each: unknown, from: number) => Number.isSafeInteger(each) && (each as number) >= from;
  return (
    isCount(origin, 0) &&
    (origin as number) < MEMBER_NUMBER_COUNT_MAX &&
    isCount(run, 0) &&
    isCount(first, 1) &&
    typeof oldest === "boolean" &&
    Array.isArray(values) &&
    values.length <= MESSAGE_COUNT_MAX
  );
}
