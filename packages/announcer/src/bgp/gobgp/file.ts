// What GoBGP reads when it starts and on SIGHUP: this member and its routers. Routes and policies go over its API. Pure.
import type { BgpConfiguration, RouterConfiguration } from "../configuration.ts";
import { familiesOf } from "../policy.ts";

const CONNECT_RETRY_S = 2;
/** Of the one policy, and of its statement while there is nothing to say. */
export const POLICY_NAME = "holdfast";
export const NOTHING_NAME = "nothing";

export function gobgpFile({ routerId, routers }: BgpConfiguration): string {
  const localAs = routers[0]?.localAs ?? 1;
  return [
    "# Written by Holdfast at every change; edits are lost.",
    "[global.config]",
    `as = ${localAs}`,
    `router-id = ${text(routerId)}`,
    // The policy is named here, since SetPolicies of 4.8 leaves assignments as they are; until it is set, nothing goes out.
    "[global.apply-policy.config]",
    `export-policy-list = [${text(POLICY_NAME)}]`,
    'default-export-policy = "reject-route"',
    "[[policy-definitions]]",
    `name = ${text(POLICY_NAME)}`,
    "[[policy-definitions.statements]]",
    `name = ${text(NOTHING_NAME)}`,
    "[policy-definitions.statements.actions]",
    'route-disposition = "reject-route"',
    ...routers.flatMap((router) => neighbour(router, localAs)),
    "",
  ].join("\n");
}

function neighbour(router: RouterConfiguration, globalAs: number): string[] {
  const { bfd } = router;
  const families = familiesOf(router);
  const multihop = router.multihop;
  return [
    "[[neighbors]]",
    "[neighbors.config]",
    router.address === undefined
      ? `neighbor-interface = ${text(router.interface ?? "")}`
      : `neighbor-address = ${text(addressOf(router))}`,
    `peer-as = ${router.as}`,
    ...(router.localAs === globalAs ? [] : [`local-as = ${router.localAs}`]),
    ...(router.password === undefined ? [] : [`auth-password = ${text(router.password)}`]),
    "[neighbors.timers.config]",
    `hold-time = ${router.holdS}`,
    `connect-retry = ${CONNECT_RETRY_S}`,
    `idle-hold-time-after-reset = ${CONNECT_RETRY_S}`,
    "[neighbors.transport.config]",
    `passive-mode = ${router.passive}`,
    ...(router.port === undefined ? [] : [`remote-port = ${router.port}`]),
    ...(multihop === undefined
      ? []
      : ["[neighbors.ebgp-multihop.config]", "enabled = true", `multihop-ttl = ${multihop}`]),
    ...(router.ttlSecurity ? ["[neighbors.ttl-security.config]", "enabled = true", "ttl-min = 255"] : []),
    ...(bfd === undefined
      ? []
      : [
          "[neighbors.bfd.config]",
          "enabled = true",
          // Microseconds.
          `desired-minimum-tx-interval = ${bfd.intervalMs * 1_000}`,
          `required-minimum-receive = ${bfd.intervalMs * 1_000}`,
          `detection-multiplier = ${bfd.multiplier}`,
        ]),
    ...(families.ipv4 ? family("ipv4-unicast") : []),
    ...(families.ipv6 ? family("ipv6-unicast") : []),
  ];
}

/** A link-local neighbour is on an interface. */
export function addressOf({ address, interface: name }: RouterConfiguration): string {
  if (address === undefined) return "";
  return address.toLowerCase().startsWith("fe80:") && name !== undefined ? `${address}%${name}` : address;
}

function family(name: string): string[] {
  return ["[[neighbors.afi-safis]]", "[neighbors.afi-safis.config]", `afi-safi-name = ${text(name)}`];
}

/** A basic string of TOML. */
function text(value: string): string {
  return JSON.stringify(value);
}
