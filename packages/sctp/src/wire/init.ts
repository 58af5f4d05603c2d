// INIT and INIT-ACK.
//
//   +---------------+---------------+-------------------------------+
//   | type 1 or 2   | flags         | length                        |   RFC 9260 §3.3.2, §3.3.3
//   +---------------+---------------+-------------------------------+
//   | initiate tag                                                  |
//   | advertised receiver window credit                             |
//   | outbound streams              | inbound streams               |
//   | initial TSN                                                   |
//   +---------------------------------------------------------------+
//   | parameters …                                                  |
import { type Malformed, malformed } from "./malformed.ts";
import { CHUNK, PARAMETER } from "./numbers.ts";
import type { Chunk } from "./packet.ts";
import { addressOf, type Parameter, parameterValue, parseParameters } from "./parameters.ts";
import { read16, read32 } from "./tlv.ts";

export const INIT_FIXED_SIZE = 20;
export const INITIATE_TAG_OFFSET = 4;
const WINDOW_OFFSET = 8;
const OUTBOUND_STREAMS_OFFSET = 12;
const INBOUND_STREAMS_OFFSET = 14;
const INITIAL_TSN_OFFSET = 16;

export interface Init {
  readonly chunk: Chunk;
  readonly acknowledgement: boolean;
  /** Never 0. */
  readonly initiateTag: number;
  /** Bytes. */
  readonly receiverWindow: number;
  readonly outboundStreams: number;
  readonly inboundStreams: number;
  readonly initialTsn: number;
  /** Listed addresses in their order, views of 4 or 16 bytes; the packet's source is not among them. */
  readonly addresses: readonly Uint8Array[];
  /** A Host Name Address is listed: RFC 9260 §3.3.2.1.4 has the receiver abort. */
  readonly hostName: Parameter | undefined;
  /** Value of Supported Extensions (RFC 5061 §4.2.7), a view; undefined without the parameter. */
  readonly supportedExtensions: Uint8Array | undefined;
  /** INIT-ACK only. */
  readonly stateCookie: Uint8Array | undefined;
  readonly parameters: readonly Parameter[];
}

/** Reads an INIT or INIT-ACK chunk. An initiate tag of 0 is refused (RFC 9260 §3.3.2). */
export function parseInit(chunk: Chunk): Init | Malformed {
  const { bytes, offset, length } = chunk;
  if (length < INIT_FIXED_SIZE) return malformed("fixed-part-truncated", offset);
  const initiateTag = read32(bytes, offset + INITIATE_TAG_OFFSET);
  if (initiateTag === 0) return malformed("initiate-tag-zero", offset + INITIATE_TAG_OFFSET);
  const parameters = parseParameters(bytes, offset + INIT_FIXED_SIZE, offset + length);
  if (!Array.isArray(parameters)) return parameters;
  const addresses: Uint8Array[] = [];
  let hostName: Parameter | undefined;
  let supportedExtensions: Uint8Array | undefined;
  let stateCookie: Uint8Array | undefined;
  for (const parameter of parameters) {
    switch (parameter.type) {
      case PARAMETER.IPV4_ADDRESS:
      case PARAMETER.IPV6_ADDRESS: {
        const address = addressOf(parameter) as Uint8Array | Malformed;
        if (!(address instanceof Uint8Array)) return address;
        addresses.push(address);
        break;
      }
      case PARAMETER.HOST_NAME:
        hostName ??= parameter;
        break;
      case PARAMETER.SUPPORTED_EXTENSIONS:
        supportedExtensions ??= parameterValue(parameter);
        break;
      case PARAMETER.STATE_COOKIE:
        stateCookie ??= parameterValue(parameter);
        break;
    }
  }
  return {
    chunk,
    acknowledgement: chunk.type === CHUNK.INIT_ACK,
    initiateTag,
    receiverWindow: read32(bytes, offset + WINDOW_OFFSET),
    outboundStreams: read16(bytes, offset + OUTBOUND_STREAMS_OFFSET),
    inboundStreams: read16(bytes, offset + INBOUND_STREAMS_OFFSET),
    initialTsn: read32(bytes, offset + INITIAL_TSN_OFFSET),
    addresses,
    hostName,
    supportedExtensions,
    stateCookie,
    parameters,
  };
}
