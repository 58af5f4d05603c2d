// The codec: total on any bytes. What it accepts it must also survive being asked about and rewritten.
import type { Random } from "@holdfast/model";
import {
  bundlingFault,
  CHUNK,
  carriesCauseWithAddresses,
  chunkValue,
  filterErrorCauses,
  IpHeader,
  isMalformed,
  parametersOf,
  parseCauses,
  parseInit,
  parsePacket,
  rewriteInit,
  verifyChecksum,
} from "@holdfast/sctp";
import type { Corpus } from "../corpus.ts";
import { mutate, repairSome } from "../mutate.ts";
import { Target } from "../target.ts";

const VIPS = [Uint8Array.of(203, 0, 113, 1), Uint8Array.of(198, 51, 100, 1), new Uint8Array(16).fill(0x20)];
const IPV4_HEADER_SIZE = 20;

export class CodecTarget extends Target {
  override readonly stateless = true;
  override readonly name = "codec";
  readonly #corpus: Corpus;
  readonly #ip = new IpHeader();
  /** Not what runs again to find out what it reached. */
  #counts = true;
  #parsed = 0;
  #rewritten = 0;

  constructor(corpus: Corpus) {
    super();
    this.#corpus = corpus;
  }

  override once(random: Random): void {
    const mutated = mutate(random, this.#corpus.pick(random), this.#corpus.pick(random));
    this.last = repairSome(random, mutated);
    this.check(this.last);
  }

  override replay(input: Uint8Array): void {
    this.last = input;
    this.#counts = false;
    this.check(input);
    this.#counts = true;
  }

  /** One IP packet, or any bytes. */
  check(bytes: Uint8Array): void {
    const refusal = this.#ip.read(bytes);
    const start = refusal === undefined ? this.#ip.payloadOffset : Math.min(IPV4_HEADER_SIZE, bytes.length);
    const end = refusal === undefined ? this.#ip.end : bytes.length;
    if (start > end || end > bytes.length) throw new Error(`IP payload ${start}..${end} of ${bytes.length}`);
    const packet = parsePacket(bytes, start, end);
    if (isMalformed(packet)) return;
    if (this.#counts) this.#parsed++;
    verifyChecksum(bytes, packet.start, packet.end);
    bundlingFault(packet);
    let at = packet.start;
    for (const chunk of packet.chunks) {
      if (chunk.offset < at || chunk.offset + chunk.length > packet.end)
        throw new Error(`chunk at ${chunk.offset} of ${chunk.length} lies outside ${at}..${packet.end}`);
      at = chunk.offset + chunk.length;
      chunkValue(chunk);
      if (chunk.type === CHUNK.ERROR || chunk.type === CHUNK.ABORT) parseCauses(chunk);
      else parametersOf(chunk);
      if (chunk.type === CHUNK.INIT || chunk.type === CHUNK.INIT_ACK) this.#rewrite(chunk, packet.start);
    }
    if (carriesCauseWithAddresses(packet)) {
      const filtered = filterErrorCauses(packet, () => false);
      if (!isMalformed(filtered) && isMalformed(parsePacket(filtered)))
        throw new Error("a filtered packet does not parse");
    }
  }

  #rewrite(chunk: Parameters<typeof parseInit>[0], packetStart: number): void {
    const init = parseInit(chunk);
    if (isMalformed(init)) return;
    const result = rewriteInit({
      init,
      packetStart,
      sourcePort: 40_001,
      destinationPort: 7_000,
      vips: VIPS,
      families: { ipv4: true, ipv6: true },
    });
    if (isMalformed(result)) return;
    if (this.#counts) this.#rewritten++;
    const { packet } = result;
    if (!verifyChecksum(packet, 0, packet.length)) throw new Error("a rewritten INIT has a wrong checksum");
    const parsed = parsePacket(packet);
    if (isMalformed(parsed)) throw new Error(`a rewritten INIT does not parse: ${parsed.malformed}`);
    const again = parseInit(parsed.chunks[0] as Parameters<typeof parseInit>[0]);
    if (isMalformed(again)) throw new Error(`a rewritten INIT does not parse: ${again.malformed}`);
    const listed = again.addresses.map((address) => Buffer.from(address).toString("hex"));
    const vips = VIPS.map((vip) => Buffer.from(vip).toString("hex"));
    if (listed.join() !== vips.join()) throw new Error(`a rewritten INIT lists ${listed.join()}`);
    if (again.initiateTag !== init.initiateTag) throw new Error("a rewritten INIT has another tag");
  }

  override keep(random: Random, input: Uint8Array): void {
    this.#corpus.add(random, input);
  }

  override figures() {
    return { parsed: this.#parsed, rewritten: this.#rewritten, corpus: this.#corpus.size };
  }
}
