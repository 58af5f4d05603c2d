import { test } from "node:test";
import { behindRouters } from "./routers.ts";

for (const fastPath of ["userspace", "xdp"] as const)
  for (const family of ["IPv4", "IPv6"] as const)
    test(`${fastPath}, ${family}: behind narrow routers on both sides`, (t) =>
      behindRouters(t, family, fastPath));
