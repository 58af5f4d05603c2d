// What replication costs without a CRDT: a map in which the last writer wins, over the same transport. It
// keeps no history, asks for nothing that was lost and forgets one of two concurrent writes; it is the
// price's other side.
import {
  ByteReader,
  ByteWriter,
  type Clock,
  decodeSession,
  emptyRecord,
  encodeSession,
  join,
  type Logger,
  type SessionDelta,
  type SessionRecord,
  sessionIdToBytes,
  systemRandom,
} from "@holdfast/model";
import { type ConfiguredMember, type HostPort, type MemberTls, WsTransport } from "@holdfast/sync";

const TOPIC = "last-writer";
const FLUSH_MS = 2;
const BATCH_BYTES_AIM = 256 * 1024;

interface Options {
  readonly clusterId: string;
  readonly memberName: string;
  readonly memberNumber: number;
  readonly memberNumberCount: number;
  readonly listen: readonly HostPort[];
  readonly members: readonly ConfiguredMember[];
  readonly tls: MemberTls | "plain";
  readonly clock: Clock;
  readonly logger: Logger;
}

export class LastWriterMap {
  readonly #transport: WsTransport;
  readonly #records = new Map<string, { stamp: number; record: SessionRecord }>();
  #out = new ByteWriter();
  #queued = 0;
  #stamp = 0;
  #timer: NodeJS.Timeout | undefined;
  #endedCount = 0;
  #id = 0;
  /** Released when the next batch was acknowledged by one member. */
  #waiting: (() => void)[] = [];
  readonly #underWay = new Map<number, (() => void)[]>();

  static async open(options: Options, onNew: (record: SessionRecord) => void): Promise<LastWriterMap> {
    const transport = await WsTransport.open({ ...options, random: systemRandom() });
    const map = new LastWriterMap(transport);
    transport.start({
      connected: () => {},
      disconnected: () => {},
      dropped: () => {},
      message: (peer, message) => {
        if (message.kind === "request") {
          map.#receive(message.body, onNew);
          transport.send(peer.number, { kind: "response", id: message.id, body: new Uint8Array(0) });
        } else if (message.kind === "response") {
          for (const release of map.#underWay.get(message.id) ?? []) release();
          map.#underWay.delete(message.id);
        }
      },
    });
    return map;
  }

  constructor(transport: WsTransport) {
    this.#transport = transport;
  }

  get size(): number {
    return this.#records.size - this.#endedCount;
  }

  get(id: string): SessionRecord | undefined {
    return this.#records.get(id)?.record;
  }

  apply(delta: SessionDelta, _urgent: boolean): SessionRecord {
    const record = join(this.#records.get(delta.id)?.record ?? emptyRecord(delta.id), delta);
    const stamp = Math.max(this.#stamp + 1, Date.now());
    this.#stamp = stamp;
    this.#put(delta.id, stamp, record);
    const bytes = encodeSession(record);
    this.#out.bytes(sessionIdToBytes(delta.id));
    this.#out.varint(stamp);
    this.#out.varint(bytes.length);
    this.#out.bytes(bytes);
    this.#queued += bytes.length + 24;
    if (this.#queued > BATCH_BYTES_AIM) this.#flush();
    else this.#timer ??= setTimeout(() => this.#flush(), FLUSH_MS);
    return record;
  }

  released(_id: string): Promise<boolean> {
    return new Promise((resolve) => this.#waiting.push(() => resolve(true)));
  }

  connected(): number {
    return this.#transport.peers().length;
  }

  ready(): boolean {
    return true;
  }

  async sentBytes(): Promise<number> {
    return this.#transport.counters().sentBytes;
  }

  async metrics(): Promise<unknown> {
    return this.#transport.counters();
  }

  stop(): Promise<void> {
    clearTimeout(this.#timer);
    return this.#transport.stop();
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const body = this.#out.copy();
    this.#out.clear();
    this.#queued = 0;
    const id = ++this.#id;
    this.#underWay.set(id, this.#waiting);
    this.#waiting = [];
    const message = { kind: "request", id, topic: TOPIC, body } as const;
    for (const peer of this.#transport.peers()) this.#transport.send(peer.number, message);
  }

  #receive(body: Uint8Array, onNew: (record: SessionRecord) => void): void {
    const input = new ByteReader(body);
    while (input.left > 0 && !input.failed) {
      input.take(16);
      const stamp = input.varint();
      const decoded = decodeSession(input.take(input.varint()));
      if (!("delta" in decoded)) return;
      const { id } = decoded.delta;
      const known = this.#records.get(id);
      if (known !== undefined && known.stamp >= stamp) continue;
      const record = { ...emptyRecord(id), ...decoded.delta } as SessionRecord;
      this.#put(id, stamp, record);
      if (known === undefined) onNew(record);
    }
  }

  #put(id: string, stamp: number, record: SessionRecord): void {
    const known = this.#records.get(id);
    if (record.end !== undefined && known?.record.end === undefined) this.#endedCount++;
    this.#records.set(id, { stamp, record });
  }
}
