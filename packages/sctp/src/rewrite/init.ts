// INIT and INIT-ACK as the other side may see them: its addresses replaced by the service's VIPs.
//
// The advertised set is always complete, whatever the sender listed. Advertising as many VIPs as the client
// has addresses turns a later restart with one address more into an ABORT (RFC 9260 §5.2.2).
import { writeChecksum } from "../checksum/crc32c.ts";
import { INIT_FIXED_SIZE, type Init } from "../wire/init.ts";
import { type Malformed, malformed } from "../wire/malformed.ts";
import { CHUNK, PARAMETER } from "../wire/numbers.ts";
import { COMMON_HEADER_SIZE, PACKET_SIZE_MAX, VERIFICATION_TAG_OFFSET } from "../wire/packet.ts";
import { IPV4_SIZE, IPV6_SIZE, type Parameter } from "../wire/parameters.ts";
import { paddedLength, read16, read32, TLV_HEADER_SIZE, write16, write32 } from "../wire/tlv.ts";

/** Largest packet that leaves room for an IPv6 header in 65,535 bytes. */
const REWRITTEN_SIZE_MAX = PACKET_SIZE_MAX - 40;

export interface InitRewrite {
  /** The parsed chunk; its bytes hold the whole packet, whose checksum the caller has verified. */
  readonly init: Init;
  /** Offset of the packet's common header in `init.chunk.bytes`. */
  readonly packetStart: number;
  readonly sourcePort: number;
  readonly destinationPort: number;
  /**
   * The service's VIPs, 4 or 16 bytes each, in the service's order. Those of families that `families` leaves
   * out are not advertised; fewer than two are not listed at all, since the packet's source says as much.
   */
  readonly vips: readonly Uint8Array[];
  readonly families: AddressFamilies;
}

/** Families that both sides can use on this association. */
export interface AddressFamilies {
  readonly ipv4: boolean;
  readonly ipv6: boolean;
}

export interface RewrittenInit {
  /** The SCTP packet, checksum included. */
  readonly packet: Uint8Array;
  /** The VIPs that it advertises, in order; one alone is advertised by being the source. */
  readonly advertised: readonly Uint8Array[];
}

/**
 * The families in which the sender of an INIT or INIT-ACK says it can be reached: that of the packet's
 * source, and those it lists.
 */
export function offeredFamilies(
  sourceSize: number,
  addresses: readonly Uint8Array[],
): { ipv4: boolean; ipv6: boolean } {
  const families = { ipv4: sourceSize === IPV4_SIZE, ipv6: sourceSize === IPV6_SIZE };
  for (const address of addresses) {
    if (address.length === IPV4_SIZE) families.ipv4 = true;
    else families.ipv6 = true;
  }
  return families;
}

/** Families that both can use: a VIP of one that its receiver cannot reach is a path that never comes up. */
export function commonFamilies(a: AddressFamilies, b: AddressFamilies): AddressFamilies {
  return { ipv4: a.ipv4 && b.ipv4, ipv6: a.ipv6 && b.ipv6 };
}

/**
 * Builds the packet to send on: ports exchanged, addresses replaced by the VIPs (at the first removed
 * address, else right behind the fixed part), Supported Address Types narrowed to their families, ASCONF and
 * packet drop reports taken from Supported Extensions, parameters with addresses and the zero-checksum offer
 * removed. All else is byte exact, the State Cookie and the AUTH parameters (key material, RFC 4895 §6.1) in
 * particular. A Host Name parameter is passed on; `init.hostName` tells the caller to refuse instead.
 * Malformed only when the result would not fit.
 */
export function rewriteInit(rewrite: InitRewrite): RewrittenInit | Malformed {
  const { init, packetStart, families } = rewrite;
  const { bytes, offset } = init.chunk;
  const advertised = rewrite.vips.filter((vip) => (vip.length === IPV4_SIZE ? families.ipv4 : families.ipv6));
  const listed = advertised.length > 1 ? advertised : [];

  let sizeMax = COMMON_HEADER_SIZE + INIT_FIXED_SIZE;
  for (const parameter of init.parameters)
    if (!isAddress(parameter)) sizeMax += paddedLength(parameter.length);
  for (const vip of listed) sizeMax += TLV_HEADER_SIZE + vip.length;
  if (sizeMax > REWRITTEN_SIZE_MAX) return malformed("packet-too-long", offset);

  const out = new Uint8Array(sizeMax);
  write16(out, 0, rewrite.sourcePort);
  write16(out, 2, rewrite.destinationPort);
  write32(out, VERIFICATION_TAG_OFFSET, read32(bytes, packetStart + VERIFICATION_TAG_OFFSET));
  copy(bytes, offset, out, COMMON_HEADER_SIZE, INIT_FIXED_SIZE);

  const firstAddress = init.parameters.findIndex(isAddress);
  let end = COMMON_HEADER_SIZE + INIT_FIXED_SIZE;
  const place = (length: number) => {
    end += paddedLength(length);
  };
  const insertVips = () => {
    for (const vip of listed) {
      write16(out, end, vip.length === IPV4_SIZE ? PARAMETER.IPV4_ADDRESS : PARAMETER.IPV6_ADDRESS);
      write16(out, end + 2, TLV_HEADER_SIZE + vip.length);
      out.set(vip, end + TLV_HEADER_SIZE);
      place(TLV_HEADER_SIZE + vip.length);
    }
  };

  if (firstAddress === -1) insertVips();
  for (let i = 0; i < init.parameters.length; i++) {
    const parameter = init.parameters[i] as Parameter;
    switch (parameter.type) {
      case PARAMETER.IPV4_ADDRESS:
      case PARAMETER.IPV6_ADDRESS:
        if (i === firstAddress) insertVips();
        break;
      case PARAMETER.SET_PRIMARY:
      case PARAMETER.ADD_ADDRESS:
      case PARAMETER.DELETE_ADDRESS:
      case PARAMETER.ZERO_CHECKSUM:
        break;
      case PARAMETER.SUPPORTED_ADDRESS_TYPES:
        place(narrowAddressTypes(parameter, advertised, out, end));
        break;
      case PARAMETER.SUPPORTED_EXTENSIONS:
        place(narrowExtensions(parameter, out, end));
        break;
      default:
        // Padding bytes are written as zeros (RFC 9260 §3.2.1), the value as it is.
        copy(bytes, parameter.offset, out, end, parameter.length);
        place(parameter.length);
    }
  }

  // The length counts the last parameter's padding. RFC 9260 §3.2 leaves that to the sender and has every
  // receiver take both; counting it, nothing that is appended on the way can land inside the padding.
  write16(out, COMMON_HEADER_SIZE + 2, end - COMMON_HEADER_SIZE);
  writeChecksum(out, 0, end);
  return { packet: out.subarray(0, end), advertised };
}

function isAddress(parameter: Parameter): boolean {
  return parameter.type === PARAMETER.IPV4_ADDRESS || parameter.type === PARAMETER.IPV6_ADDRESS;
}

/**
 * Extensions that a translator cannot carry: they put addresses (ASCONF) or whole packets (PKTDROP) into
 * chunks.
 */
const REFUSED_EXTENSIONS: ReadonlySet<number> = new Set([CHUNK.ASCONF, CHUNK.ASCONF_ACK, CHUNK.PKTDROP]);

/** Writes what is left of Supported Extensions at `end`; returns its length, 0 when nothing is left. */
function narrowExtensions(parameter: Parameter, out: Uint8Array, end: number): number {
  let length = TLV_HEADER_SIZE;
  for (let i = TLV_HEADER_SIZE; i < parameter.length; i++) {
    const type = parameter.bytes[parameter.offset + i] as number;
    if (!REFUSED_EXTENSIONS.has(type)) out[end + length++] = type;
  }
  return finish(PARAMETER.SUPPORTED_EXTENSIONS, length, out, end);
}

/**
 * Writes Supported Address Types without families that are not advertised. A sender that supports none of
 * them is not believed: it has just sent a packet in one.
 */
function narrowAddressTypes(
  parameter: Parameter,
  advertised: readonly Uint8Array[],
  out: Uint8Array,
  end: number,
): number {
  let length = TLV_HEADER_SIZE;
  for (let i = TLV_HEADER_SIZE; i + 1 < parameter.length; i += 2) {
    const type = read16(parameter.bytes, parameter.offset + i);
    const size =
      type === PARAMETER.IPV4_ADDRESS ? IPV4_SIZE : type === PARAMETER.IPV6_ADDRESS ? IPV6_SIZE : 0;
    if (!advertised.some((vip) => vip.length === size)) continue;
    write16(out, end + length, type);
    length += 2;
  }
  return finish(PARAMETER.SUPPORTED_ADDRESS_TYPES, length, out, end);
}

function finish(type: number, length: number, out: Uint8Array, end: number): number {
  if (length === TLV_HEADER_SIZE) return 0;
  write16(out, end, type);
  write16(out, end + 2, length);
  // What a longer parameter left behind would become padding; it must be zero.
  out.fill(0, end + length, end + paddedLength(length));
  return length;
}

function copy(from: Uint8Array, offset: number, to: Uint8Array, at: number, length: number): void {
  // A loop beats subarray and set below some hundred bytes, which is what parameters have.
  for (let i = 0; i < length; i++) to[at + i] = from[offset + i] as number;
}
