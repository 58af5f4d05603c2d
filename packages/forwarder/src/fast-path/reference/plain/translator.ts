// What becomes of a packet of TCP or UDP: docs/decisions/0385. `decide` looks and changes nothing; `apply`
// learns and rewrites.
import { type IpHeader, PROTOCOL, read16, read32 } from "@holdfast/sctp";
import { PlainHeader, TCP_FLAG, TCP_SEQUENCE_OFFSET } from "../../../packet/plain/header.ts";
import { mssOf, windowScaleOf } from "../../../packet/plain/options.ts";
import { rewritePlain } from "../../../packet/plain/rewrite.ts";
import { isWithin } from "../../../packet/plain/window.ts";
import type { PuntReason } from "../../port.ts";
import type { EgressFinder } from "../egress.ts";
import { FLOW_KEY_SIZE_MAX } from "../flow-entry.ts";
import { type FlowTables, isAllowed, type LocalEntry } from "../tables.ts";
import type { PlainVerdict, Verdict } from "../verdict.ts";
import { endClaim, notePlain, opensPlain, type PlainFlowEntry } from "./entry.ts";
import { continuesHandshake, fitsWays, noteHandshake } from "./handshake.ts";

export class PlainTranslator {
  readonly #tables: FlowTables;
  readonly #egress: EgressFinder;
  readonly #header = new PlainHeader();
  readonly #key = new Uint8Array(FLOW_KEY_SIZE_MAX);

  constructor(tables: FlowTables, egress: EgressFinder) {
    this.#tables = tables;
    this.#egress = egress;
  }

  /** `ip`: of a whole packet of TCP or UDP. */
  decide(bytes: Uint8Array, ip: IpHeader, local: LocalEntry): Verdict {
    const header = this.#header;
    const refusal = header.read(bytes, ip);
    if (refusal !== undefined) return { action: "drop", reason: refusal };
    const entry = this.#flowOf(bytes, ip, header.start);
    return entry === undefined ? this.#decideMiss(bytes, ip, local) : this.#decideHit(bytes, ip, entry);
  }

  /** Of the packet that `decide` saw last. Whether it proved its source. */
  apply(
    { entry, claim, opens, begins }: PlainVerdict,
    bytes: Uint8Array,
    ip: IpHeader,
    checksumPartial: boolean,
    nowMs: number,
  ): boolean {
    const header = this.#header;
    const other = this.#tables.plain.flows.get(entry.reverse);
    let proven = false;
    if (begins) noteHandshake(entry, other, header, windowScaleOf(bytes, header), ip.end, nowMs);
    else proven = notePlain(entry, other, header, { claim, opens }, ip.end, nowMs);
    const { flow, newSource, newDestination, deltas, shift } = entry;
    const { newSourcePort, newDestinationPort, direction } = flow;
    const rewrite = { newSource, newDestination, newSourcePort, newDestinationPort, shift, direction };
    rewritePlain(bytes, ip, header, rewrite, deltas, checksumPartial);
    return proven;
  }

  /**
   * Whether an ICMP error's quotation, at bytes[inner, end), is of a packet that a flow's other end was
   * sent.
   */
  isQuoted(bytes: Uint8Array, ip: IpHeader, start: number, key: Uint8Array, size: number): boolean {
    const entry = this.#tables.plain.flows.get(key, 0, size);
    if (entry === undefined) return false;
    if (entry.flow.key.protocol === PROTOCOL.UDP) return true;
    if (entry.edges === undefined || start + TCP_SEQUENCE_OFFSET + 4 > ip.end) return false;
    // What the other end knows, not what the sender does.
    const shift = entry.flow.direction === "down" ? entry.shift : 0;
    const sequence = read32(bytes, start + TCP_SEQUENCE_OFFSET);
    return isWithin(sequence, entry.edges.acknowledged + shift, entry.window);
  }

  #flowOf(bytes: Uint8Array, ip: IpHeader, start: number): PlainFlowEntry | undefined {
    const { sourceOffset, addressSize } = ip;
    const addressesSize = 2 * addressSize;
    const key = this.#key;
    for (let i = 0; i < addressesSize; i++) key[i] = bytes[sourceOffset + i] as number;
    for (let i = 0; i < 4; i++) key[addressesSize + i] = bytes[start + i] as number;
    key[addressesSize + 4] = ip.protocol;
    return this.#tables.plain.flows.get(key, 0, addressesSize + 5);
  }

  #decideMiss(bytes: Uint8Array, ip: IpHeader, local: LocalEntry): Verdict {
    const reason = this.#reason() ?? (this.#header.isTcp ? "miss" : "datagram");
    const { start } = this.#header;
    const served = local.local.ports.find(
      ({ protocol, port }) => protocol === ip.protocol && port === read16(bytes, start + 2),
    );
    const begins = reason === "syn" || reason === "datagram";
    if (begins && !isAllowed(served, bytes.subarray(ip.sourceOffset, ip.sourceOffset + ip.addressSize)))
      return { action: "drop", reason: "source-not-allowed" };
    if (served !== undefined) return { action: "punt", reason, session: 0 };
    if (!this.#tables.isEndpoint(bytes, ip.sourceOffset, ip.addressSize, read16(bytes, start), ip.protocol))
      return { action: "drop", reason: "port-not-served" };
    const proven = reason === "synAck" || reason === "datagram";
    return { action: "punt", reason, session: 0, ...(proven && { proven }) };
  }

  #decideHit(bytes: Uint8Array, ip: IpHeader, entry: PlainFlowEntry): Verdict {
    const header = this.#header;
    const { flow } = entry;
    const { session } = flow;
    const punt = (reason: PuntReason, more: object = { proven: true }): Verdict => ({
      action: "punt",
      reason,
      session,
      ...more,
    });
    const reason = this.#reason();
    if (reason !== undefined)
      return this.#decideSyn(bytes, ip, entry) ?? punt(reason, reason === "syn" ? {} : { proven: true });
    const isEnd = header.isTcp && header.has(TCP_FLAG.FIN | TCP_FLAG.RST);
    const other = isEnd || entry.opening ? this.#tables.plain.flows.get(entry.reverse) : undefined;
    const opens = opensPlain(entry, other, header);
    if (entry.handshake && !opens) return punt("handshake");
    const claim = isEnd ? endClaim(entry, other, header) : undefined;
    if (claim === "outside") return { action: "drop", reason: "tcp-window" };
    if (ip.hopLimit <= 1) return punt("ttlExpired");
    const egress = this.#egress(entry.newDestination, entry);
    if (egress === undefined) return punt("noNextHop");
    if (ip.end > egress.mtu) return punt("tooBig", { mtu: egress.mtu, proven: true });
    const isNews = !header.has(TCP_FLAG.FIN) || header.sequenceEnd !== entry.finEnd;
    return {
      action: "forwardPlain",
      entry,
      destination: entry.newDestination,
      learn: entry.learn,
      claim,
      opens,
      begins: false,
      end: claim === "counts" && isNews && flow.quiet !== true,
      ...(egress.device !== undefined && { device: egress.device }),
    };
  }

  /** Of a SYN or SYN-ACK; undefined: it is the slow path's. */
  #decideSyn(bytes: Uint8Array, ip: IpHeader, entry: PlainFlowEntry): Verdict | undefined {
    const header = this.#header;
    const other = this.#tables.plain.flows.get(entry.reverse);
    if (!continuesHandshake(entry, other, header) || ip.hopLimit <= 1) return undefined;
    const egress = this.#egress(entry.newDestination, entry);
    const back = this.#egress(other.newDestination, other);
    if (egress === undefined || back === undefined || ip.end > egress.mtu) return undefined;
    if (!fitsWays(mssOf(bytes, header), Math.min(egress.mtu, back.mtu), ip.version)) return undefined;
    return {
      action: "forwardPlain",
      entry,
      destination: entry.newDestination,
      learn: false,
      claim: undefined,
      opens: false,
      begins: true,
      end: false,
      ...(egress.device !== undefined && { device: egress.device }),
    };
  }

  #reason(): PuntReason | undefined {
    const header = this.#header;
    if (!header.isTcp || !header.has(TCP_FLAG.SYN)) return undefined;
    return header.has(TCP_FLAG.ACK) ? "synAck" : "syn";
  }
}
