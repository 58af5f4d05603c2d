// A router for tests.
import type { RouterConfiguration } from "../configuration.ts";

export const TOR: RouterConfiguration = {
  name: "tor1",
  address: "198.18.0.254",
  as: 65_000,
  localAs: 65_001,
  ttlSecurity: false,
  holdS: 30,
  ipv6: false,
  extendedNextHop: false,
  passive: false,
};
