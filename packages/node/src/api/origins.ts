// Where a member's API can be asked from elsewhere: the pages that the other members serve go there when
// theirs is gone.
import { parseListenAddress } from "@holdfast/api";
import { addressOf, isLoopbackListen, listenList, type OwnMember } from "../config/check.ts";
import type { Configuration } from "../config/schema.ts";

/** `https://192.0.2.1:7080`, none for a loopback: that is everybody's own. */
export function apiOrigins(configuration: Configuration, own: OwnMember): string[] {
  const { api, members } = configuration;
  if (api.url !== undefined) return [new URL(api.url).origin];
  const listed = members.find(({ name }) => name === own.name)?.addresses.map(addressOf) ?? [];
  return listenList(api.listen).flatMap((listen) => {
    const where = parseListenAddress(listen);
    if (where === undefined || "path" in where || isLoopbackListen(listen)) return [];
    const hosts = /^(0\.0\.0\.0|::)$/.test(where.host) ? listed : [where.host];
    const scheme = api.tls === undefined ? "http" : "https";
    return hosts.map((host) => `${scheme}://${host.includes(":") ? `[${host}]` : host}:${where.port}`);
  });
}
