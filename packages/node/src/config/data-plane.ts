// The section of the data plane.
import { oneOf, oneOfNumbers } from "@holdfast/api";
import { Type } from "typebox";

export const DataPlaneSchema = Type.Object(
  {
    mode: oneOf(["auto", "xdp", "xdp-generic", "tc", "userspace"], {
      default: "auto",
      description: "auto picks the fastest that the machine allows, and says so in the log.",
    }),
    handOver: oneOf(["none", "veth"], {
      default: "none",
      description:
        "none: what leaves goes by the interface, where captures see it; veth: TC hands what leaves by a veth into another network namespace to its other end, which is faster (docs/operating.md, Captures and veths).",
    }),
    pinDirectory: Type.String({
      pattern: "^/",
      default: "/sys/fs/bpf/holdfast",
      description: "Where programs and maps stay when the daemon stops; on a bpffs.",
    }),
    flowCountMax: Type.Integer({
      minimum: 1024,
      maximum: 16_777_216,
      default: 1_048_576,
      description:
        "Entries of the flow table of one address family; 4 to 8 per session of a multi-homed service.",
    }),
    puntRingBytes: oneOfNumbers(
      [18, 19, 20, 21, 22, 23, 24, 25, 26].map((bits) => 2 ** bits),
      { default: 2 ** 22, description: "Ring between fast and slow path, a power of two." },
    ),
    embryoCountMaxPerService: Type.Integer({
      minimum: 16,
      maximum: 1_000_000,
      default: 32_768,
      description: "Handshakes in progress per service; the oldest unproven gives way.",
    }),
    embryoCountMaxPerPrefix: Type.Integer({
      minimum: 1,
      maximum: 1_000_000,
      default: 2_048,
      description: "Handshakes in progress per source /24 or /48.",
    }),
    keepInstalled: Type.Boolean({
      default: true,
      description: "After a graceful stop the data plane stays pinned and carries what lives.",
    }),
  },
  { additionalProperties: false, default: {}, description: "The fast path." },
);
