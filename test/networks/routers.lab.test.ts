import { test } from "node:test";
import { behindRouters } from "./routers.ts";

for (const family of ["IPv4", "IPv6"] as const)
  test(`${family}: behind narrow routers on both sides`, (t) => behindRouters(t, family, "auto"));
