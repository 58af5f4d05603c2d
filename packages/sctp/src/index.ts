// Wire codec of SCTP: packets, chunks, parameters, CRC32c; the rewriting of INIT; and the IP headers around
// them. Decoding is total: it returns a value or a `Malformed`, and never throws.
export * from "./checksum/crc32c.ts";
export * from "./checksum/port-change.ts";
export * from "./encode/chunks.ts";
export * from "./encode/packet.ts";
export * from "./ip/build.ts";
export * from "./ip/checksum.ts";
export * from "./ip/header.ts";
export * from "./rewrite/error-causes.ts";
export * from "./rewrite/init.ts";
export * from "./wire/init.ts";
export * from "./wire/malformed.ts";
export * from "./wire/numbers.ts";
export * from "./wire/packet.ts";
export * from "./wire/parameters.ts";
export * from "./wire/tlv.ts";
