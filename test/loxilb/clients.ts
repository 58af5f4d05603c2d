// loxicmd and kube-loxilb as they talk on the wire: headers, key spelling, nulls, paths, and what each
// version takes for success.

/** What kube-loxilb makes of a reply, by version. */
export type KubeVersion = "0.8.8" | "0.9.6" | "0.9.8.4" | "head";

export interface Reply {
  readonly status: number;
  readonly contentType: string;
  readonly text: string;
}

async function send(
  base: string,
  method: string,
  path: string,
  headers: Readonly<Record<string, string>>,
  body?: unknown,
): Promise<Reply> {
  const response = await fetch(`${base}/netlox/v1${path}`, {
    method,
    headers,
    signal: AbortSignal.timeout(5000),
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return {
    status: response.status,
    contentType: response.headers.get("content-type") ?? "",
    text: await response.text(),
  };
}

/** loxicmd f05d13e: always a JSON content type, always an Authorization header, empty without a token. */
export class Loxicmd {
  readonly #base: string;
  readonly #token: string;

  constructor(base: string, token = "") {
    this.#base = base;
    this.#token = token;
  }

  request(method: string, path: string, body?: unknown): Promise<Reply> {
    const headers = { "content-type": "application/json", authorization: this.#token };
    return send(this.#base, method, path, headers, body);
  }

  /** A GET whose status is not 200 prints nothing. */
  async get<T>(path: string): Promise<T | undefined> {
    const reply = await this.request("GET", path);
    return reply.status === 200 ? (JSON.parse(reply.text) as T) : undefined;
  }

  /** What it prints: `result`, and only when the status is exactly 200. */
  async change(method: string, path: string, body?: unknown): Promise<string | undefined> {
    const reply = await this.request(method, path, body);
    return reply.status === 200 ? (JSON.parse(reply.text) as { result: string }).result : undefined;
  }

  createLb(options: {
    readonly ip: string;
    readonly port: number;
    readonly targetPort: number;
    readonly endpoints: readonly string[];
    readonly secondaries?: readonly string[];
    readonly protocol?: string;
    readonly mode?: number;
    readonly name?: string;
    readonly sel?: number;
    readonly idle?: number;
  }): Promise<string | undefined> {
    return this.change("POST", "/config/loadbalancer", {
      serviceArguments: {
        externalIP: options.ip,
        port: options.port,
        protocol: options.protocol ?? "sctp",
        sel: options.sel ?? 0,
        mode: options.mode ?? 2,
        BGP: false,
        Monitor: true,
        inactiveTimeOut: options.idle ?? 0,
        block: 0,
        name: options.name ?? "",
        proxyprotocolv2: false,
        egress: false,
      },
      secondaryIPs: options.secondaries?.map((secondaryIP) => ({ secondaryIP })) ?? null,
      allowedSources: null,
      endpoints: options.endpoints.map((endpointIP) => ({
        endpointIP,
        targetPort: options.targetPort,
        weight: 1,
        state: "",
        counter: "",
      })),
    });
  }

  /** The only form of DELETE that it uses for an address. */
  deleteLb(ip: string, port: number, protocol = "sctp"): Promise<string | undefined> {
    return this.change(
      "DELETE",
      `/config/loadbalancer/hosturl/any/externalipaddress/${ip}/port/${port}/portmax/0/protocol/${protocol}?bgp=false&block=0`,
    );
  }
}

export interface KubeService {
  readonly ip: string;
  readonly port: number;
  readonly targetPort: number;
  readonly endpoints: readonly string[] | null;
  readonly secondaries?: readonly string[];
  readonly protocol?: string;
  readonly name?: string;
}

/** kube-loxilb of a version. Every method returns whether that version takes the reply for success. */
export class KubeLoxilb {
  readonly #base: string;
  readonly #version: KubeVersion;

  constructor(base: string, version: KubeVersion) {
    this.#base = base;
    this.#version = version;
  }

  /** The resource path is lower-cased (request.go:169); no Authorization header without a token. */
  async #request(method: string, path: string, body?: unknown): Promise<Reply> {
    return send(this.#base, method, path.toLowerCase(), { "content-type": "application/json" }, body);
  }

  /** request.go:140, as it was in each version. */
  #accepts(method: string, reply: Reply): boolean {
    const result = () => {
      try {
        return (JSON.parse(reply.text) as { result?: string }).result;
      } catch {
        return undefined;
      }
    };
    switch (this.#version) {
      case "0.8.8":
        return true;
      case "0.9.6":
        return reply.status !== 200 || result() === "Success";
      case "0.9.8.4":
        return method === "GET" || reply.status !== 200 || result() === "Success";
      case "head":
        if (method === "GET") return true;
        if (method === "DELETE") return reply.status === 200;
        return (reply.status === 200 && result() === "Success") || (result() ?? "").includes("exist");
    }
  }

  async #change(method: string, path: string, body?: unknown): Promise<boolean> {
    return this.#accepts(method, await this.#request(method, path, body));
  }

  /** GET /netlox/v1, without a slash at the end, within a second. */
  async health(): Promise<boolean> {
    const startedAt = performance.now();
    const reply = await send(this.#base, "GET", "", { "content-type": "application/json" });
    return this.#accepts("GET", reply) && performance.now() - startedAt < 1000;
  }

  body(service: KubeService): unknown {
    const old = this.#version === "0.8.8";
    return {
      serviceArguments: {
        externalIP: service.ip,
        ...(old ? {} : { privateIP: "" }),
        port: service.port,
        protocol: service.protocol ?? "sctp",
        sel: 0,
        mode: 2,
        BGP: true,
        Monitor: true,
        inactiveTimeOut: 1800,
        block: 0,
        ...(old
          ? {}
          : {
              managed: true,
              probetype: "",
              probeport: 0,
              probereq: "",
              proberesp: "",
              name: service.name ?? "default_sctp-lb:llb-inst0",
            }),
      },
      secondaryIPs: service.secondaries?.map((secondaryIP) => ({ secondaryIP })) ?? null,
      ...(old ? {} : { allowedSources: [] }),
      endpoints:
        service.endpoints?.map((endpointIP) => ({
          endpointIP,
          targetPort: service.targetPort,
          weight: 1,
          state: "",
          counter: "",
        })) ?? null,
    };
  }

  post(service: KubeService): Promise<boolean> {
    return this.#change("POST", "/config/loadbalancer", this.body(service));
  }

  /** Carries the whole JSON body, which means nothing. */
  remove(service: KubeService): Promise<boolean> {
    const { ip, port, protocol = "sctp" } = service;
    return this.#change(
      "DELETE",
      `/config/loadbalancer/externalipaddress/${ip}/port/${port}/protocol/${protocol}?bgp=true&block=0`,
      this.body(service),
    );
  }

  /** setRoles, setBGP: strictly in this order, when a node comes alive. */
  async alive(peer: string): Promise<boolean> {
    const steps: [string, string, unknown][] = [
      ["POST", "/config/cistate", { instance: "llb-inst0", state: "MASTER", vip: "0.0.0.0" }],
      [
        "POST",
        "/config/bgp/global",
        { localAs: 64512, routerId: peer, setNextHopSelf: true, listenPort: 179 },
      ],
      ["POST", "/config/bgp/neigh", { ipAddress: peer, remoteAs: 64512, remotePort: 179 }],
    ];
    for (const [method, path, body] of steps) if (!(await this.#change(method, path, body))) return false;
    return true;
  }

  purge(peer: string): Promise<boolean> {
    return this.#change("DELETE", `/config/bgp/neigh/${peer}?remoteAs=64512`);
  }

  send(method: string, path: string, body?: unknown): Promise<boolean> {
    return this.#change(method, path, body);
  }
}
