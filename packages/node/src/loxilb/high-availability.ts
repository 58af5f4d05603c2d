// /config/cistate and /config/bfd: who is master, and who watches whom. Holdfast decides both by itself; what
// clients post is remembered and shown beside what is true.
import { addressFamily } from "@holdfast/api";
import { type Address, type MemberName, parseAddress, type Service } from "@holdfast/model";
import type { FastifyInstance } from "fastify";
import type { LoxilbContext } from "./context.ts";
import { foldKeys, numberOf, objectOf, textOf } from "./fold.ts";
import { LoxilbError, omitEmpty, SchemaViolation, SUCCESS, sendJson } from "./reply.ts";
import { compareAddresses } from "./rule.ts";

export const INSTANCE_DEFAULT = "llb-inst0";
const INSTANCE_COUNT_MAX = 64;
const BFD_COUNT_MAX = 64;
const BFD_PORT = 3784;
/** Microseconds, as LoxiLB wants it. */
const BFD_INTERVAL_LEAST = 100_000;
const BFD_INTERVAL_DEFAULT = 200_000;
const BFD_RETRY_DEFAULT = 3;
const STATES = ["MASTER", "BACKUP", "FAULT", "STOP", "NOT_DEFINED"];

interface BfdSession {
  readonly instance: string;
  readonly remoteIp: string;
  readonly sourceIp: string;
  readonly interval: number;
  readonly retryCount: number;
}

/** loxicmd says `default` for the first instance. */
function instanceName(text: string): string {
  return text === "" || text === "default" ? INSTANCE_DEFAULT : text;
}

interface Master {
  readonly member: MemberName;
  /** The VIP that makes it so. */
  readonly vip: Address | undefined;
}

/** kube-loxilb writes the instance at the end of a rule's name: `default_service:llb-inst1`. */
function instanceOf(service: Service): string {
  return /:([A-Za-z0-9-]+-inst\d{1,3})$/.exec(service.name)?.[1] ?? INSTANCE_DEFAULT;
}

/**
 * An instance has one master, though several members may announce VIPs: the owner of the instance's least
 * primary VIP that has an owner, in the order of addresses. An instance without services goes with all of
 * them.
 */
export function instanceMaster(
  instance: string,
  services: readonly Service[],
  owners: ReadonlyMap<Address, MemberName | undefined>,
): Master | undefined {
  const own = services.filter((service) => instanceOf(service) === instance);
  const primaries = (own.length > 0 ? own : services)
    .map(({ vips }) => vips[0])
    .filter((vip) => vip !== undefined);
  for (const vip of primaries.sort(compareAddresses)) {
    const member = owners.get(vip);
    if (member !== undefined) return { member, vip };
  }
  return undefined;
}

export function highAvailabilityRoutes(context: LoxilbContext) {
  const { sources } = context;
  const vips = new Map<string, string>([[INSTANCE_DEFAULT, ""]]);
  const bfd = new Map<string, BfdSession>();

  /** Of a router that the speaker watches; undefined: it is none. */
  function bfdStateOf(address: string): string | undefined {
    const router = context.routers?.states().find((state) => state.address === address);
    return router?.bfd === undefined ? undefined : `BFD${router.bfd}`;
  }

  /** What every member answers in the same way, for as long as they agree who owns what. */
  async function masterOf(instance: string): Promise<Master | undefined> {
    const owners = new Map(sources.ownerships().map(({ vip, owner }) => [vip, owner]));
    const master = instanceMaster(instance, sources.registry.list(), owners);
    if (master !== undefined) return master;
    // Nothing is served: the first that could.
    const ready = (await sources.members()).filter(({ phase, ready }) => phase === "alive" && ready);
    const [first] = ready.sort((a, b) => a.number - b.number);
    return first === undefined ? undefined : { member: first.name, vip: undefined };
  }

  return async (app: FastifyInstance) => {
    app.get("/config/cistate/all", async (_request, reply) => {
      const { member } = sources.status();
      const isWell = sources.health().status === "ok";
      const Attr = await Promise.all(
        [...vips].map(async ([instance, posted]) => {
          const master = await masterOf(instance);
          return {
            instance,
            state: !isWell ? "FAULT" : master?.member === member ? "MASTER" : "BACKUP",
            vip: posted !== "" && posted !== "0.0.0.0" ? posted : (master?.vip ?? "0.0.0.0"),
            sync: 0,
          };
        }),
      );
      return sendJson(reply, 200, { Attr });
    });

    app.post("/config/cistate", async (request, reply) => {
      const body = objectOf(foldKeys(request.body), "body");
      const instance = instanceName(textOf(body, "instance"));
      const wanted = textOf(body, "state").toUpperCase();
      if (wanted !== "" && !STATES.includes(wanted))
        throw new SchemaViolation(606, `state in body should be one of [${STATES.join(" ")}]`);
      // kube-loxilb names its instances ZONE-instN and posts them at the start.
      if (!vips.has(instance) && (!/-inst\d{1,3}$/.test(instance) || vips.size >= INSTANCE_COUNT_MAX))
        throw new LoxilbError("cluster instance not found");
      vips.set(instance, textOf(body, "vip"));
      return sendJson(reply, 200, SUCCESS);
    });

    app.get("/config/bfd/all", async (_request, reply) => {
      const members = await sources.members();
      const Attr = [...bfd.values()].map((session) => {
        const peer = members.find(({ addresses }) => addresses.includes(session.remoteIp));
        return omitEmpty({
          instance: session.instance,
          remoteIp: session.remoteIp,
          sourceIP: session.sourceIp,
          port: BFD_PORT,
          interval: session.interval,
          retryCount: session.retryCount,
          // The members watch each other with probes of their own: this is their verdict.
          state:
            bfdStateOf(session.remoteIp) ??
            (peer !== undefined && (peer.phase === "alive" || peer.phase === "suspect")
              ? "BFDUp"
              : "BFDDown"),
        });
      });
      return sendJson(reply, 200, { Attr });
    });

    app.post("/config/bfd", async (request, reply) => {
      const body = objectOf(foldKeys(request.body), "body");
      const remote = textOf(body, "remoteIp");
      if (remote === "") throw new SchemaViolation(602, "remoteIp in body is required");
      if (addressFamily(remote) === 0) throw new LoxilbError("malformed remoteIp error");
      const remoteIp = parseAddress(remote);
      const source = textOf(body, "sourceIp");
      if (source !== "" && addressFamily(source) === 0) throw new LoxilbError("malformed sourceIp error");
      const interval = numberOf(body, "interval");
      if (interval !== 0 && interval < BFD_INTERVAL_LEAST) throw new LoxilbError("bfd interval too low");
      const retryCount = numberOf(body, "retryCount");
      if (retryCount < 0 || retryCount > 255) throw new LoxilbError("bfd retryCount range error");
      const instance = instanceName(textOf(body, "instance"));
      const key = `${instance} ${remoteIp}`;
      const before = bfd.get(key);
      if (before === undefined && bfd.size >= BFD_COUNT_MAX)
        throw new LoxilbError("bfd session capacity insufficient");
      // `set bfd` sends only what changed; the rest is zero.
      const session = {
        instance,
        remoteIp,
        sourceIp: source || (before?.sourceIp ?? ""),
        interval: interval || (before?.interval ?? BFD_INTERVAL_DEFAULT),
        retryCount: retryCount || (before?.retryCount ?? BFD_RETRY_DEFAULT),
      };
      // Toward a router, it is the session that watches it.
      context.routers?.setBfd(remoteIp, {
        intervalMs: Math.ceil(session.interval / 1_000),
        multiplier: session.retryCount,
      });
      bfd.set(key, session);
      return sendJson(reply, 200, SUCCESS);
    });

    app.delete<{ Params: { ip: string }; Querystring: { instance?: string } }>(
      "/config/bfd/remoteIP/:ip",
      async (request, reply) => {
        const ip =
          addressFamily(request.params.ip) === 0 ? request.params.ip : parseAddress(request.params.ip);
        if (!bfd.delete(`${instanceName(request.query.instance ?? "")} ${ip}`))
          throw new LoxilbError("no bfd session");
        context.routers?.setBfd(ip, undefined);
        return sendJson(reply, 200, SUCCESS);
      },
    );
  };
}
