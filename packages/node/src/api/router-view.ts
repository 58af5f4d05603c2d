// A router as the API shows it.
import type { RouterStatus } from "@holdfast/announcer";
import type { RouterView } from "@holdfast/api";

export function routerView({
  sinceWallMs,
  flapCount,
  bfd,
  routes,
  warnings,
  ...rest
}: RouterStatus): RouterView {
  return {
    ...rest,
    ...(bfd !== undefined && { bfd }),
    since: new Date(sinceWallMs).toISOString(),
    flaps: flapCount,
    warnings: warnings.map(({ code, message, remedy }) => ({ code, message, remedy })),
    routes: routes.map(({ vip, rank, reason, attributes }) => {
      const { communities, largeCommunities, ...figures } = attributes ?? {};
      return {
        vip,
        ...(rank === "leaving" ? { leaving: true } : { rank }),
        sent: attributes !== undefined && rest.session === "Established",
        reason,
        ...figures,
        ...(communities !== undefined && { communities: [...communities] }),
        ...(largeCommunities !== undefined && { largeCommunities: [...largeCommunities] }),
      };
    }),
  };
}
