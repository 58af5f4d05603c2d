// What a member prepares on its own host: the section `host` of the configuration.
import { oneOf } from "@holdfast/api";
import { Type } from "typebox";

export const HostSchema = Type.Object(
  {
    loop: Type.Boolean({
      default: false,
      description:
        "A veth pair to which VIPs are routed: this host's pods and programs reach VIPs, and answer them, by it. Needs the BPF fast path.",
    }),
    loopName: Type.String({
      pattern: "^[A-Za-z0-9_-]{1,12}$",
      default: "hf",
      description:
        "The pair's interfaces are called so with 0 and 1 behind it, the nftables table holdfast_NAME.",
    }),
    identityNat: Type.Boolean({
      default: false,
      description:
        "A table of nftables that keeps masquerade and DNAT of others (a CNI, kube-proxy) from packets of VIPs. On every node that has endpoints.",
    }),
    rpFilter: oneOf(["tell", "set"], {
      default: "tell",
      description:
        "Strict reverse path filtering on path and core interfaces drops packets of VIPs once the loop is there. tell: a warning; set: made loose, and put back with the loop.",
    }),
  },
  {
    additionalProperties: false,
    default: {},
    description:
      "What a member prepares on its own host, for pods and programs there; it takes away what it made.",
  },
);
