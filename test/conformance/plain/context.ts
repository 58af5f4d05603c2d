// What scenarios of TCP and UDP share: a cluster, a client and an endpoint that are scripted segment by
// segment, on hosts whose own stacks do not hear of it; and what must hold after every one of them.
import assert from "node:assert/strict";
import { type Address, addressBytes } from "@holdfast/model";
import { read16, read32 } from "@holdfast/sctp";
import {
  Cluster,
  containsBytes,
  type HeardPacket,
  type Member,
  PROFILES,
  RawHost,
  setPatience,
  until,
} from "@holdfast/testkit";
import type { PlainProtocol } from "../../plain/steady.ts";
import type { Surroundings } from "../scenario.ts";
import { joined } from "./fragments.ts";
import { type Heard, type Place, readHeard } from "./segments.ts";

/** Ports of services and endpoints whose packets the hosts' stacks do not see. */
const SCRIPTED_PORT_FIRST = 20_000;
const SCRIPTED_PORT_LAST = 20_999;
/** Of a service that nobody asks. */
const KEEPING_PORT = 19_999;
const CLIENT_PORT_FIRST = 40_000;
/** Times of the tracker, as in the suite of SCTP; `idle` of a service counts whole seconds. */
const TIME_SCALE = 1 / 20;
/** Small, so that a flood of one prefix is over soon. */
export const EMBRYO_COUNT_MAX_PER_PREFIX = 256;
const PATH = "path-a";
/** Addresses of the client's host beside its own. */
const OTHER_COUNT = 3;
const EXCERPT_COUNT = 24;

export interface ServiceFields {
  readonly idle?: Readonly<Record<string, number>>;
  readonly replicate?: "always" | "long-lived" | "never";
  readonly replicateAfterMs?: number;
  readonly natPort?: "keep" | "any";
  readonly endpoints?: readonly object[];
  readonly port?: number;
}

export interface ScriptedService {
  readonly id: string;
  readonly url: string;
  readonly protocol: PlainProtocol;
  /** The VIP's. */
  readonly place: Place;
  readonly endpoint: Place;
}

export interface FlowSummary {
  readonly id: string;
  readonly phase: string;
  readonly clientPort: number;
  readonly natPort?: number;
  readonly ended?: string;
}

export type End = "client" | "endpoint";

export class PlainContext {
  readonly surroundings: Surroundings;
  readonly cluster: Cluster;
  readonly vip: Address;
  #client: RawHost | undefined;
  #endpoint: RawHost | undefined;
  #nextServicePort = SCRIPTED_PORT_FIRST;
  #nextClientPort = CLIENT_PORT_FIRST;
  /** Of this scenario. */
  #made: string[] = [];
  #heard: Record<End, HeardPacket[]> = { client: [], endpoint: [] };
  /** Resets of Holdfast's own are what the scenario is about. */
  wrongChecksumsAllowed = false;

  constructor(surroundings: Surroundings, members: number) {
    this.surroundings = surroundings;
    const profile = PROFILES.lab;
    this.vip = profile.vips[surroundings.family === "ipv6" ? "ipv6" : "ipv4"][0] as Address;
    setPatience(2);
    this.cluster = new Cluster({
      ...{ members, vips: [this.vip], clients: [1], withService: false, fastPath: surroundings.fastPath },
      configuration: {
        timers: { scale: TIME_SCALE },
        dataPlane: { embryoCountMaxPerPrefix: EMBRYO_COUNT_MAX_PER_PREFIX },
        ...(members === 1 && { store: { directory: "" } }),
      },
    });
  }

  async open(): Promise<void> {
    const { cluster } = this;
    const [client, endpoint] = [cluster.clients[0], cluster.endpoints[0]];
    assert.ok(client && endpoint);
    for (let n = 1; n <= OTHER_COUNT; n++) cluster.addAddress(client, PATH, cluster.stranger(n));
    const ports = `${SCRIPTED_PORT_FIRST}-${SCRIPTED_PORT_LAST}`;
    hush(client, `tcp sport ${ports} drop; udp sport ${ports} drop;`);
    hush(endpoint, `tcp dport ${ports} drop; udp dport ${ports} drop;`);
    await cluster.start();
    this.#client = new RawHost(client, { quiet: false });
    this.#endpoint = new RawHost(endpoint, { quiet: false });
    // While it has a service, the VIP has an owner.
    const spec = { protocol: "tcp", vips: [this.vip], port: KEEPING_PORT, endpoints: [] };
    const { status, body } = await this.member.fetch("POST", "/v1/services", spec);
    assert.equal(status, 201, body);
    await cluster.settled();
  }

  get member(): Member {
    return this.cluster.members.find(({ running }) => running) as Member;
  }

  // ---- places

  /** A client that nobody has been: the host's own address, or one of three others, and a fresh port. */
  newClient(other = 0): Place {
    const own = this.cluster.clients[0]?.addresses(PATH)[0] as Address;
    const address = other === 0 ? own : this.cluster.stranger(other);
    return { address, port: this.#nextClientPort++ };
  }

  /** A port that no service has. */
  freePort(): number {
    return this.#nextServicePort++;
  }

  async service(protocol: PlainProtocol, fields: ServiceFields = {}): Promise<ScriptedService> {
    const port = fields.port ?? this.freePort();
    const address = this.cluster.endpoints[0]?.addresses("core")[0] as Address;
    const spec = {
      ...{ name: `${protocol}-${port}`, protocol, vips: [this.vip], healthCheck: { kind: "none" } },
      ...{ endpoints: [{ address, port }], replicate: "always", ...fields, port },
    };
    const { status, body } = await this.member.fetch("POST", "/v1/services", spec);
    assert.equal(status, 201, body);
    const { id } = JSON.parse(body) as { id: string };
    const url = `/v1/services/${encodeURIComponent(id)}`;
    this.#made.push(url);
    await this.cluster.settled();
    for (const member of this.cluster.members.filter(({ running }) => running))
      await until("the service everywhere", async () => (await member.fetch("GET", url)).status === 200);
    return { id, url, protocol, place: { address: this.vip, port }, endpoint: { address, port } };
  }

  // ---- packets

  send(from: End, packet: Uint8Array): void {
    this.#host(from).send(packet);
  }

  /** Everything that has arrived there in this scenario. */
  packets(at: End): readonly HeardPacket[] {
    const fresh = this.#host(at).receive();
    this.#heard[at].push(...fresh.filter(({ outgoing }) => !outgoing));
    return this.#heard[at];
  }

  /** Segments and datagrams from the VIP that have arrived there, in order. */
  arrived(at: End): Heard[] {
    return this.packets(at)
      .filter(({ source }) => source === this.vip)
      .flatMap((packet) => readHeard(packet) ?? [])
      .filter(
        ({ source, destination }) =>
          isScripted(source.port) || (at === "endpoint" && isScripted(destination.port)),
      );
  }

  /** The first that is so; it may have arrived already. */
  hears(at: End, what: string, isIt: (heard: Heard) => boolean, limitMs = 10_000): Promise<Heard> {
    return until(`${what} at the ${at}`, () => this.arrived(at).find(isIt), limitMs, 2);
  }

  /** An ICMP error about the packet as its sender had sent it, with the MTU where there is one. */
  async quoted(at: End, sent: Uint8Array, mtu?: number): Promise<void> {
    const isV6 = this.vip.includes(":");
    const start = isV6 ? 40 : 20;
    const ports = Buffer.from(sent.subarray(start, start + 8)).toString("hex");
    const addresses = (bytes: Uint8Array) =>
      Buffer.from(isV6 ? bytes.subarray(8, 40) : bytes.subarray(12, 20)).toString("hex");
    await until(`an error at the ${at}`, () =>
      this.errors(at).some(({ payload }) => {
        const inner = payload.subarray(8);
        const isAbout =
          addresses(inner) === addresses(sent) &&
          Buffer.from(inner.subarray(start, start + 8)).toString("hex") === ports;
        const said = isV6 ? read32(payload, 4) : read16(payload, 6);
        return isAbout && (mtu === undefined || said === mtu);
      }),
    );
  }

  /** Bytes in one packet, or in fragments of one. */
  async reassembled(at: End, payload: string): Promise<void> {
    await until(`${payload.length} bytes at the ${at}`, () => {
      const parts = this.packets(at).filter(({ source }) => source === this.vip);
      const whole = Buffer.concat(joined(parts).map((part) => Buffer.from(part)));
      return whole.includes(Buffer.from(payload, "latin1"));
    });
  }

  /** ICMP errors from the VIP, newest first. */
  errors(at: End): HeardPacket[] {
    // RFC 4443 §2.1: from 128 on are those that are none, such as the VIP's advertisements.
    const isError = ({ source, protocol, payload }: HeardPacket) =>
      source === this.vip && (protocol === 1 || (protocol === 58 && (payload[0] as number) < 128));
    return this.packets(at).filter(isError).reverse();
  }

  // ---- the daemon

  /** What the member holds of a service's flows. */
  async flows(service: ScriptedService, member = this.member): Promise<FlowSummary[]> {
    const path = `/v1/sessions?limit=1000&service=${encodeURIComponent(service.id)}`;
    return (await member.get<{ items: FlowSummary[] }>(path)).items;
  }

  async phase(service: ScriptedService, client: Place, phase: string): Promise<void> {
    await until(`port ${client.port} to be ${phase}`, async () =>
      (await this.flows(service)).some((flow) => flow.clientPort === client.port && flow.phase === phase),
    );
  }

  drops(reason: string): Promise<number> {
    return this.member.drops(reason);
  }

  /** `count` more packets are dropped for that reason. */
  async dropped(reason: string, count: number, action: () => void | Promise<void>): Promise<void> {
    const before = await this.drops(reason);
    await action();
    await until(`${count} drops as ${reason}`, async () => (await this.drops(reason)) >= before + count);
  }

  /** What went over a quota of embryos: newcomers that were dropped, and older ones that made room. */
  async overQuota(): Promise<number> {
    const evicted = await this.member.metric('holdfast_slow_path_events_total{event="embryos-evicted"}');
    return evicted + (await this.drops("embryo-quota"));
  }

  embryos(): Promise<number> {
    return this.member.metric('holdfast_slow_path_size{table="plain-embryos"}');
  }

  /** The owner's node dies, and somebody else owns the VIP. */
  async killOwner(): Promise<void> {
    const { cluster } = this;
    const owner = cluster.memberOf((await cluster.settled()).get(this.vip) as string);
    await owner.killNode();
    await until("another owner", async () => (await cluster.settled()).get(this.vip) !== owner.name);
  }

  // ---- the end of a scenario

  /** Services go; what was heard is judged and forgotten. */
  async judge(): Promise<void> {
    const heard = (["client", "endpoint"] as const).map((end) => this.arrived(end));
    for (const member of this.cluster.members) assert.ok(!member.crashed, `${member.name} ended by itself`);
    const wrong = heard.flat().filter(({ isChecksumRight, checksum }) => !isChecksumRight && checksum !== 0);
    if (!this.wrongChecksumsAllowed) assert.equal(wrong.length, 0, `${wrong.length} wrong checksums`);
    const client = this.cluster.clients[0]?.addresses(PATH)[0] as Address;
    const endpoint = this.cluster.endpoints[0]?.addresses("core")[0] as Address;
    for (const [end, secret] of [
      ["client", endpoint],
      ["endpoint", client],
    ] as const) {
      const leaks = this.packets(end).filter(
        ({ source, bytes }) => source === this.vip && containsBytes(bytes, addressBytes(secret)),
      );
      assert.equal(leaks.length, 0, `the other side's address at the ${end}`);
    }
  }

  async tidy(): Promise<void> {
    const member = this.member;
    for (const url of this.#made.splice(0)) await member.fetch("DELETE", `${url}?sessions=end`);
    this.#heard = { client: [], endpoint: [] };
    this.wrongChecksumsAllowed = false;
  }

  /** The last that was heard at either end; never throws. */
  excerpt(): string {
    return (["client", "endpoint"] as const)
      .map((end) => {
        const lines = this.#heard[end].slice(-EXCERPT_COUNT).map((packet) => {
          const heard = readHeard(packet);
          const ports = heard === undefined ? "" : ` ${heard.source.port}>${heard.destination.port}`;
          const numbers =
            heard === undefined
              ? ""
              : ` flags ${heard.flags} seq ${heard.sequence} ack ${heard.acknowledgment} +${heard.payload.length}`;
          return `  ${packet.source} > ${packet.destination} protocol ${packet.protocol}${ports}${numbers}`;
        });
        return [`--- last heard at the ${end}`, ...lines].join("\n");
      })
      .join("\n");
  }

  logs(): string {
    return this.cluster.members.map((m) => `--- ${m.name}\n${m.log().slice(-3000)}`).join("\n");
  }

  close(): Promise<void> {
    setPatience(1);
    return this.cluster.close();
  }

  #host(end: End): RawHost {
    const host = end === "client" ? this.#client : this.#endpoint;
    assert.ok(host);
    return host;
  }
}

const isScripted = (port: number) => port >= SCRIPTED_PORT_FIRST && port <= SCRIPTED_PORT_LAST;

/** The host's stack does not hear these, and so answers with nothing. */
function hush(host: { run(command: string, args: readonly string[], input: string): string }, rules: string) {
  host.run(
    "nft",
    ["-f", "-"],
    `table inet hush {\n chain in {\n type filter hook prerouting priority -300; ${rules}\n }\n}\n`,
  );
}
