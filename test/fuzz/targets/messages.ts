// What members send each other: peer messages, the link's own, session records, journal changes and their
// payloads, configuration entries and changes, probes. Totality, and one encoding for one message.

import {
  decodeHello,
  decode as decodeProbe,
  encode as encodeProbe,
  Keyring,
  seal,
  secretCredentials,
  TAG_SIZE,
} from "@holdfast/coordinator/testing";
import { decodeSession, encodeSession, type Random, seededRandom } from "@holdfast/model";
import {
  actorOf,
  checkChange,
  decodeEntry,
  decodeLinkMessage,
  decodePayload,
  decodePeerMessage,
  derive,
  documentActorOf,
  type ConfigurationEntry as Entry,
  encodeChange,
  encodeEntry,
  encodeLinkMessage,
  encodePayload,
  encodePeerMessage,
  verifyChange,
} from "@holdfast/sync/testing";
import type { Corpus } from "../corpus.ts";
import { mutate } from "../mutate.ts";
import { Target } from "../target.ts";

const KEY = new Uint8Array(32).fill(7);
const NETWORK = 0x1234;
const EMPTY = new Uint8Array(0);
const ACTOR = actorOf(3, 1_790_000_000_000, seededRandom(1));
const DOCUMENT_ACTOR = documentActorOf(ACTOR, 0);

/** Well-formed entries of every kind, as keys with their texts. */
export const ENTRY_TEXTS = entryTexts();
const ENTRIES: readonly (readonly [string, Entry])[] = ENTRY_TEXTS.map(([key, text]) => {
  const entry = decodeEntry(key, text);
  if (entry === undefined) throw new Error(`${key} is not a valid entry`);
  return [key, entry];
});

type Reader = (bytes: Uint8Array) => boolean;

export class MessagesTarget extends Target {
  override readonly stateless = true;
  override readonly name = "messages";
  readonly #corpus: Corpus;
  /** Not what runs again to find out what it reached. */
  #counts = true;
  readonly #taken: Record<string, number> = {};

  constructor(corpus: Corpus) {
    super();
    this.#corpus = corpus;
  }

  override once(random: Random): void {
    this.last = mutate(random, this.#corpus.pick(random), this.#corpus.pick(random));
    this.check(this.last);
  }

  override replay(input: Uint8Array): void {
    this.last = input;
    this.#counts = false;
    this.check(input);
    this.#counts = true;
  }

  /** The bytes as every kind of message at once. */
  check(bytes: Uint8Array): void {
    for (const [name, read] of Object.entries(READERS)) {
      if (read(bytes) && this.#counts) this.#taken[name] = (this.#taken[name] ?? 0) + 1;
    }
  }

  override keep(random: Random, input: Uint8Array): void {
    this.#corpus.add(random, input);
  }

  override figures() {
    return { ...this.#taken, corpus: this.#corpus.size };
  }
}

const same = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;

const READERS: Readonly<Record<string, Reader>> = {
  peer(bytes) {
    const decoded = decodePeerMessage(bytes);
    if (!decoded.ok) return false;
    if (decoded.message === undefined) return true;
    const again = encodePeerMessage(decoded.message);
    // Behind the known fields there may be those of later versions.
    if (!same(again, bytes.subarray(0, again.length))) throw new Error("a peer message has two encodings");
    return true;
  },
  link(bytes) {
    const message = decodeLinkMessage(bytes);
    if (message !== undefined) encodeLinkMessage(message);
    return message !== undefined;
  },
  session(bytes) {
    const decoded = decodeSession(bytes);
    if ("malformed" in decoded) return false;
    const again = decodeSession(encodeSession(decoded.delta));
    if ("malformed" in again)
      throw new Error(`a session that was taken does not come back: ${again.malformed}`);
    return true;
  },
  payload(bytes) {
    const entries = decodePayload(bytes);
    if (entries === undefined) return false;
    encodePayload(entries);
    return true;
  },
  change(bytes) {
    const verified = verifyChange(bytes, DOCUMENT_ACTOR, 0, EMPTY);
    return typeof verified !== "string";
  },
  /** Right checksum around wrong contents, as a member that lies would make it. */
  changeContents(bytes) {
    const change = encodeChange(DOCUMENT_ACTOR, 0, EMPTY, bytes.length === 0 ? Uint8Array.of(1) : bytes);
    if (typeof verifyChange(change.bytes, DOCUMENT_ACTOR, 0, EMPTY) === "string")
      throw new Error("an own change is refused");
    decodePayload(change.payload);
    return true;
  },
  configuration(bytes) {
    return typeof checkChange(bytes) !== "string";
  },
  entry(bytes) {
    const text = Buffer.from(bytes).toString("latin1");
    const cut = text.indexOf("\n");
    const key = text.slice(0, Math.max(cut, 0));
    const entry = decodeEntry(key, text.slice(cut + 1));
    if (entry === undefined) return false;
    if (decodeEntry(key, encodeEntry(entry)) === undefined)
      throw new Error("an entry that was taken does not come back");
    // Beside what is well: nothing that a member may say stops the others from knowing what the rest means.
    derive(new Map([...ENTRIES, [key, entry]]));
    return true;
  },
  probe(bytes) {
    const decoded = decodeProbe(bytes, () => KEY, NETWORK);
    if (decoded.ok) encodeProbe(decoded.message, { id: decoded.keyId, key: KEY }, NETWORK);
    return decoded.ok;
  },
  /** A member that has the key and lies: the tag is right, the contents are anything. */
  probeContents(bytes) {
    if (bytes.length < TAG_SIZE) return false;
    const signed = seal(bytes, KEY, NETWORK);
    const decoded = decodeProbe(signed, () => KEY, NETWORK);
    if (decoded.ok) encodeProbe(decoded.message, { id: decoded.keyId, key: KEY }, NETWORK);
    return decoded.ok;
  },
  /** Whoever has the cluster's secret may say hello. */
  hello(bytes) {
    const hello = decodeHello(bytes);
    if (hello === undefined) return false;
    const outcome = new Keyring({
      self: hello.to,
      boot: 1,
      others: [hello.from],
      credentials: secretCredentials(KEY, hello.to),
    }).take(hello, 0);
    if (outcome.kind === "taken" && outcome.keyed) throw new Error("a hello that echoes nothing is believed");
    return true;
  },
};

function entryTexts(): readonly (readonly [key: string, text: string])[] {
  const id = "sctp/203.0.113.1:38412";
  const removal = { sinceMs: 1_790_000_000_000, graceMs: 120_000 };
  const service = {
    id,
    name: "amf",
    protocol: 132,
    vips: ["203.0.113.1", "198.51.100.1"],
    port: 38_412,
    selection: "leastAssociations",
    idleTimeoutS: 900,
    restartNewAddresses: "abort",
    clientPrefixes: [],
    withdrawWhenDown: false,
    endpointRemoval: { mode: "drain", graceS: 300 },
    managedBy: "file@m0",
  };
  const endpoint = { weight: 1, state: "active" };
  const values: readonly (readonly [string, unknown])[] = [
    [`service/${id}`, { ...service, removal: { ...removal, mode: "change" } }],
    [
      "service/sctp/198.51.100.1:38412",
      { ...service, id: "sctp/198.51.100.1:38412", vips: ["198.51.100.1"] },
    ],
    [`endpoint/${id}|10.0.0.5|38412`, endpoint],
    [`endpoint/${id}|10.0.0.6|38412`, { ...endpoint, leaving: removal }],
    [`file/m0|${id}`, { fields: "0a1b2c3d", vips: service.vips, endpoints: ["0a1b2c3d4e5f"] }],
    ["file/m0|", true],
    ["drain/m1", true],
    ["pin/203.0.113.1", "m1"],
  ];
  return values.map(([key, v], index) => [key, JSON.stringify({ r: 1 + index, t: "0a1b2c3d", v })]);
}
