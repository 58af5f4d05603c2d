// What the schema cannot say: fields that must agree with each other. Pure; the findings carry the field's path.
import { hostname } from "node:os";
import { addressesOfSpec, parseListenAddress } from "@holdfast/api";
import {
  type Address,
  type Claim,
  canonicalAddress,
  conflictsOf,
  type ErrorCode,
  endpointKindProblem,
  HoldfastError,
  healthCheckProblem,
  holderProblem,
  protocolOf,
  serviceIdOf,
  vipKindProblem,
} from "@holdfast/model";
import { joinAddressOf } from "../cluster/join-addresses.ts";
import type { Configuration } from "./schema.ts";

export interface CheckFinding {
  readonly path: readonly (string | number)[];
  readonly reason: string;
  readonly remedy: string;
  /** A code of its own instead of CONFIG_INVALID. */
  readonly code?: ErrorCode;
  readonly details?: Readonly<Record<string, string | number>>;
}

/** This member as the configuration describes it, with what was left out filled in. */
export interface OwnMember {
  readonly name: string;
  readonly number: number;
  readonly zone: string;
}

/** The host's name up to the first dot, made of the characters that a member's name may have. */
function hostMemberName(): string {
  const name = (hostname().split(".")[0] ?? "")
    .replace(/[^A-Za-z0-9._-]/g, "-")
    .replace(/^[._-]+|[._-]+$/g, "");
  return name === "" ? "member" : name.slice(0, 63);
}

/** Name, number and zone of this member: its own section first, then the list's entry of that name. */
export function ownMember(configuration: Configuration): OwnMember {
  const name = configuration.member.name ?? hostMemberName();
  const listed = configuration.members.find((member) => member.name === name);
  return {
    name,
    number: configuration.member.number ?? listed?.number ?? 0,
    zone: configuration.member.zone !== "" ? configuration.member.zone : (listed?.zone ?? ""),
  };
}

/** The other members. */
export function otherMembers(configuration: Configuration): Configuration["members"] {
  const { name } = ownMember(configuration);
  return configuration.members.filter((member) => member.name !== name);
}

/** An entry of a member's addresses without its network. */
export function addressOf(entry: Configuration["members"][number]["addresses"][number]): string {
  return typeof entry === "string" ? entry : entry.address;
}

export function isLoopbackListen(listen: string): boolean {
  const parsed = parseListenAddress(listen);
  if (parsed === undefined) return false;
  return "path" in parsed || parsed.host === "::1" || parsed.host.startsWith("127.");
}

export function listenList(listen: string | readonly string[]): readonly string[] {
  return typeof listen === "string" ? [listen] : listen;
}

export function checkConfiguration(configuration: Configuration): CheckFinding[] {
  return [
    ...checkMembers(configuration),
    ...checkProbes(configuration),
    ...checkInterfaces(configuration),
    ...checkServices(configuration),
    ...checkRemovedServices(configuration),
    ...checkListeners(configuration),
    ...checkHealth(configuration),
    ...checkRouters(configuration),
  ];
}

function checkMembers(configuration: Configuration): CheckFinding[] {
  const findings: CheckFinding[] = [];
  const own = ownMember(configuration);
  const count = configuration.cluster.memberNumberCount;
  const tooHigh = (path: CheckFinding["path"], number: number): void => {
    if (number >= count)
      findings.push({
        path,
        reason: `is ${number}, but cluster.memberNumberCount is ${count}`,
        remedy: `Numbers run from 0 to ${count - 1}. The count stays the same for the cluster's life.`,
      });
  };
  const listed = configuration.members.some((member) => member.name === own.name);
  if (configuration.members.length > 0 && !listed && configuration.member.number === undefined)
    return [
      {
        path: ["members"],
        reason: `has no entry for this member, '${own.name}'`,
        remedy:
          "Set member.name (or HOLDFAST_MEMBER_NAME) to one of the list, or list it, or give it a member.number.",
      },
    ];
  if (configuration.member.number !== undefined) tooHigh(["member", "number"], own.number);
  const names = new Map<string, number>();
  const numbers = new Map<number, string>([[own.number, own.name]]);
  const addresses = new Map<string, string>();
  for (const [index, member] of configuration.members.entries()) {
    tooHigh(["members", index, "number"], member.number);
    if (names.has(member.name))
      findings.push({
        path: ["members", index, "name"],
        reason: `'${member.name}' is there twice`,
        remedy: "Give each member one entry.",
      });
    names.set(member.name, index);
    const holder = numbers.get(member.number);
    if (holder !== undefined && holder !== member.name)
      findings.push({
        path: ["members", index, "number"],
        reason: `is ${member.number}, which is ${holder}'s`,
        remedy: "Each member needs a number of its own: it decides which NAT ports it allocates.",
      });
    else if (member.name === own.name && member.number !== own.number)
      findings.push({
        path: ["members", index, "number"],
        reason: `is ${member.number}, but member.number is ${own.number}`,
        remedy: "Write it in one place only, or the same in both.",
      });
    numbers.set(member.number, member.name);
    for (const [at, entry] of member.addresses.entries()) {
      const address = addressOf(entry);
      const taken = addresses.get(address);
      // Members on one machine (a test) may share an address when their ports differ.
      const shared = configuration.members.find((m) => m.name === taken);
      if (taken !== undefined && shared?.replicationPort === member.replicationPort)
        findings.push({
          path: ["members", index, "addresses", at],
          reason: `is ${address}, which is ${taken}'s`,
          remedy: "List each address at the member that has it.",
        });
      addresses.set(address, member.name);
    }
  }
  if (otherMembers(configuration).length > 0 && configuration.cluster.certificates === undefined)
    findings.push({
      path: ["members"],
      code: "CONFIG_CERTIFICATES_MISSING",
      reason: "has other members, but cluster.certificates is missing",
      remedy: "Make certificates.",
    });
  findings.push(...checkJoin(configuration));
  const { secret, secretFile } = configuration.cluster;
  if (otherMembers(configuration).length > 0 && secret === undefined && secretFile === undefined)
    findings.push({
      path: ["members"],
      code: "CONFIG_SECRET_MISSING",
      reason: "has other members, but cluster.secretFile is missing",
      remedy: "Make a secret.",
    });
  const members = otherMembers(configuration).length + 1;
  if (configuration.coordinator.minimumMembers > members)
    findings.push({
      path: ["coordinator", "minimumMembers"],
      reason: `is ${configuration.coordinator.minimumMembers}, but the cluster has ${members}: no VIP would ever be owned`,
      remedy: `Use at most ${members}.`,
    });
  return findings;
}

/** Who joins has a number, and what the others know it by. */
function checkJoin({ cluster, member, members }: Configuration): CheckFinding[] {
  if (cluster.join.length === 0) return [];
  const findings = cluster.join.flatMap((text, index): CheckFinding[] =>
    joinAddressOf(text) === undefined
      ? [
          {
            path: ["cluster", "join", index],
            reason: `is ${text}, not HOST:PORT`,
            remedy: "Write HOST:PORT or [IPV6]:PORT, the port of the other member's replication.",
          },
        ]
      : [],
  );
  if (member.number === undefined && !members.some(({ name }) => name === member.name))
    findings.push({
      path: ["member", "number"],
      reason: "is missing, but cluster.join is there",
      remedy: "Write the number that the member's certificate has.",
    });
  if (cluster.certificates === undefined)
    findings.push({
      path: ["cluster", "join"],
      code: "CONFIG_CERTIFICATES_MISSING",
      reason: "is there, but cluster.certificates is missing",
      remedy: "Issue a certificate for this member.",
    });
  if (cluster.secret === undefined && cluster.secretFile === undefined)
    findings.push({
      path: ["cluster", "join"],
      code: "CONFIG_SECRET_MISSING",
      reason: "is there, but cluster.secretFile is missing",
      remedy: "Copy the cluster's secret.",
    });
  return findings;
}

/** A main loop that is silent for so long owns nothing: its probe thread says so. No verdict may take longer. */
export const MAIN_SILENT_MAX_MS = 2_000;

function checkProbes({ coordinator }: Configuration): CheckFinding[] {
  const { probeIntervalMs, missedCountMax } = coordinator;
  const deadAfterMs = probeIntervalMs * missedCountMax;
  if (deadAfterMs <= MAIN_SILENT_MAX_MS) return [];
  return [
    {
      path: ["coordinator"],
      reason: `has probeIntervalMs ${probeIntervalMs} and missedCountMax ${missedCountMax}: a member would be dead after ${deadAfterMs} ms`,
      remedy: `The product of the two is at most ${MAIN_SILENT_MAX_MS} ms: lower one of them.`,
    },
  ];
}

function checkInterfaces(configuration: Configuration): CheckFinding[] {
  const seen = new Set<string>();
  return configuration.interfaces.flatMap(({ name }, index) => {
    if (!seen.has(name)) {
      seen.add(name);
      return [];
    }
    return [
      {
        path: ["interfaces", index, "name"],
        reason: `'${name}' is there twice`,
        remedy: "Give each interface one entry; several roles are a list: role: [path, core].",
      },
    ];
  });
}

function checkServices(configuration: Configuration): CheckFinding[] {
  const findings: CheckFinding[] = [];
  const claims = configuration.services.map((service, index) => ({
    id: String(index),
    protocol: protocolOf(service.protocol),
    // What is none is said below.
    vips: service.vips.flatMap((vip) => canonicalAddress(vip) ?? []),
    port: service.port,
  }));
  const members = new Map(
    configuration.members.flatMap((member) =>
      member.addresses.map((entry) => [canonicalAddress(addressOf(entry)), member.name] as const),
    ),
  );
  const vips = new Map(
    configuration.services.flatMap((service) =>
      service.vips.map((vip) => [canonicalAddress(vip), service.name || `port ${service.port}`] as const),
    ),
  );
  for (const [index, service] of configuration.services.entries()) {
    const claim = claims[index] as Claim;
    const conflicts = conflictsOf(claim, claims.slice(0, index));
    for (const [at, vip] of service.vips.entries()) {
      const address = canonicalAddress(vip);
      const conflict = conflicts.find((each) => each.vip === address);
      const isTwice =
        address !== undefined &&
        service.vips.slice(0, at).some((other) => canonicalAddress(other) === address);
      const other = conflict?.service ?? (isTwice ? String(index) : undefined);
      if (other !== undefined)
        findings.push({
          path: ["services", index, "vips", at],
          reason: `is ${vip}, whose port ${service.port} services[${other}] has already`,
          remedy: "Use another VIP or another port.",
        });
      findings.push(...coded(["services", index, "vips", at], vipProblem(vip, members)));
    }
    findings.push(...checkHealthCheck(["services", index], service.healthCheck));
    findings.push(...checkEndpoints(service, index, vips));
  }
  return findings;
}

/** A word about services that are gone says nothing of one that is there. */
function checkRemovedServices({ services, removedServices }: Configuration): CheckFinding[] {
  const ids = services.flatMap(({ protocol, vips, port }) =>
    vips.flatMap((vip) => {
      const address = canonicalAddress(vip);
      return address === undefined ? [] : [serviceIdOf(protocolOf(protocol), address, port)];
    }),
  );
  const present = new Set([...ids, ...services.map(({ name }) => name)]);
  return removedServices.flatMap(({ service }, index) =>
    present.has(service)
      ? [
          {
            path: ["removedServices", index, "service"],
            reason: `is ${service}, which the file has`,
            remedy: "Take it out of services, or out of this list.",
          },
        ]
      : [],
  );
}

function checkEndpoints(
  { endpoints }: Configuration["services"][number],
  index: number,
  vips: ReadonlyMap<Address | undefined, string>,
): CheckFinding[] {
  const findings: CheckFinding[] = [];
  const taken = new Set<string>();
  for (const [at, endpoint] of endpoints.entries()) {
    const path = ["services", index, "endpoints", at];
    findings.push(...checkHealthCheck(path, endpoint.healthCheck));
    const addresses = addressesOfSpec(endpoint);
    if (addresses.length === 0)
      findings.push({
        path,
        reason: "has neither address nor addresses",
        remedy: "Name the server's address, or all of them when it has several.",
      });
    else if (endpoint.address !== undefined && endpoint.address !== addresses[0])
      findings.push({
        path: [...path, "address"],
        reason: `is ${endpoint.address}, but its addresses begin with ${addresses[0]}`,
        remedy: "Leave address out: the first of addresses is the endpoint's identity.",
      });
    for (const address of addresses) {
      const key = `${address} ${endpoint.port}`;
      if (taken.has(key))
        findings.push({
          path,
          reason: `is ${address} port ${endpoint.port} a second time`,
          remedy: "List it once and give it a weight.",
        });
      taken.add(key);
      const field = endpoint.addresses === undefined ? "address" : "addresses";
      findings.push(...coded([...path, field], endpointProblem(address, vips)));
    }
  }
  return findings;
}

/** What the file alone shows; who has which address on an interface is asked when the service comes into force. */
function vipProblem(
  text: string,
  members: ReadonlyMap<Address | undefined, string>,
): HoldfastError | undefined {
  const vip = canonicalAddress(text);
  if (vip === undefined) return new HoldfastError("ADDRESS_INVALID", { text });
  const member = members.get(vip);
  const holder = member === undefined ? undefined : ({ member, as: "interface", interface: "" } as const);
  return vipKindProblem(vip) ?? holderProblem(vip, holder);
}

function endpointProblem(
  text: string,
  vips: ReadonlyMap<Address | undefined, string>,
): HoldfastError | undefined {
  const endpoint = canonicalAddress(text);
  if (endpoint === undefined) return new HoldfastError("ADDRESS_INVALID", { text });
  const service = vips.get(endpoint);
  if (service !== undefined) return new HoldfastError("ENDPOINT_IS_VIP", { endpoint, service });
  return endpointKindProblem(endpoint);
}

/** A finding with a code of its own. */
function coded(path: CheckFinding["path"], problem: HoldfastError | undefined): CheckFinding[] {
  if (problem === undefined) return [];
  const { code, details, message, remedy } = problem;
  return [{ path, code, details, reason: message, remedy }];
}

function checkRouters({ announcer, routers, interfaces, loxilb }: Configuration): CheckFinding[] {
  const findings: CheckFinding[] = [];
  const bgp = [announcer.kind].flat().includes("bgp");
  // LoxiLB's clients may post theirs.
  if (bgp && routers.length === 0 && !loxilb.enabled)
    findings.push({
      path: ["announcer", "kind"],
      reason: "is bgp, but there is no router",
      remedy: "Name at least one under routers: { name, address, as }.",
    });
  if ([announcer.kind].flat().length > 1 && [announcer.kind].flat().includes("none"))
    findings.push({
      path: ["announcer", "kind"],
      reason: "names none beside another kind",
      remedy: "Use none alone, or leave it out.",
    });
  for (const [index, name] of (announcer.l2Interfaces ?? []).entries())
    if (interfaces.length > 0 && !interfaces.some((known) => known.name === name))
      findings.push({
        path: ["announcer", "l2Interfaces", index],
        reason: `is ${name}, which is not among interfaces`,
        remedy: "Write it as interfaces[].name has it.",
      });
  const names = new Set<string>();
  const neighbours = new Set<string>();
  for (const [index, router] of routers.entries()) {
    const path = ["routers", index];
    const neighbour = `${router.address ?? ""}%${router.interface ?? ""}`;
    const linkLocal = router.address?.toLowerCase().startsWith("fe80:") === true;
    const finding = (field: string, reason: string, remedy: string) =>
      findings.push({ path: [...path, field], reason, remedy });
    if (names.has(router.name))
      finding("name", `'${router.name}' is there twice`, "Give each router one entry.");
    // BIRD takes two sessions to one neighbour, and never establishes the second.
    if (neighbours.has(neighbour))
      finding(
        "address",
        `${neighbour} is there twice`,
        "One session carries both families: ipv6, extendedNextHop.",
      );
    if (router.address === undefined && router.interface === undefined)
      finding("address", "is missing", "Name the router's address, or the interface to look for it on.");
    if (linkLocal && router.interface === undefined)
      finding(
        "interface",
        "is missing for a link-local address",
        "Name the interface that the router is on.",
      );
    if (router.localAs === undefined && announcer.localAs === undefined)
      finding("localAs", "is missing", "Set announcer.localAs, the same at all members.");
    if (router.password !== undefined && router.passwordFile !== undefined)
      finding("passwordFile", "stands beside password", "Use one of the two.");
    if (router.multihop !== undefined && (router.ttlSecurity || router.address === undefined))
      finding("multihop", "contradicts ttlSecurity, or a router on the link", "Leave one of them out.");
    names.add(router.name);
    neighbours.add(neighbour);
  }
  return findings;
}

function checkHealthCheck(path: CheckFinding["path"], check: unknown): CheckFinding[] {
  const problem = check === undefined ? undefined : healthCheckProblem(check);
  if (problem === undefined) return [];
  const [, field, reason] = /^healthCheck\.(\w+) (.+)$/.exec(problem) ?? [];
  if (field === undefined || reason === undefined) return [];
  return [{ path: [...path, "healthCheck", field], reason, remedy: "Correct it, or leave it out." }];
}

function checkHealth({ health }: Configuration): CheckFinding[] {
  if (health.timeoutMs < health.intervalMs) return [];
  return [
    {
      path: ["health", "timeoutMs"],
      reason: `is ${health.timeoutMs}, not less than health.intervalMs, ${health.intervalMs}`,
      remedy: "A probe must be answered or given up before the next one.",
    },
  ];
}

/** What LoxiLB's API lacks beyond the loopback: without a list of clients it wants what the node's own API wants. */
export function missingProtection(loxilb: Configuration["loxilb"]): string | undefined {
  if (isLoopbackListen(loxilb.listen) || loxilb.allowRemote.length > 0) return undefined;
  const missing = [
    ...(loxilb.token === undefined && loxilb.tokenFile === undefined ? ["a token"] : []),
    ...(loxilb.tls === undefined ? ["TLS"] : []),
  ];
  return missing.length === 0 ? undefined : missing.join(" and ");
}

/** Whether the API asks for a token at all. */
function hasToken({ token, tokenFile, tokens }: Configuration["api"]): boolean {
  return token !== undefined || tokenFile !== undefined || tokens.length > 0;
}

function checkListeners(configuration: Configuration): CheckFinding[] {
  const findings: CheckFinding[] = [];
  const { api, loxilb } = configuration;
  for (const [index, { token, tokenFile }] of api.tokens.entries())
    if ((token === undefined) === (tokenFile === undefined))
      findings.push({
        path: ["api", "tokens", index],
        reason: "has neither token nor tokenFile, or both",
        remedy: "Set one of them.",
      });
  for (const listen of listenList(api.listen)) {
    if (isLoopbackListen(listen)) continue;
    const missing = [...(hasToken(api) ? [] : ["a token"]), ...(api.tls === undefined ? ["TLS"] : [])];
    if (missing.length > 0)
      findings.push({
        path: ["api", "listen"],
        code: "API_NOT_PROTECTED",
        details: { listen, missing: missing.join(" and ") },
        reason: "is not protected",
        remedy: "Set a token and TLS.",
      });
  }
  const missing = missingProtection(loxilb);
  if (loxilb.enabled && missing !== undefined)
    findings.push({
      path: ["loxilb", "listen"],
      code: "LOXILB_NOT_PROTECTED",
      details: { listen: loxilb.listen, missing },
      reason: "is not protected",
      remedy: "Set loxilb.allowRemote.",
    });
  return findings;
}
