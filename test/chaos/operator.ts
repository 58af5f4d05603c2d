// An operator who works while members die: reloads files, takes endpoints out and puts them back, drains,
// deletes services and creates them again, in both dialects and at whichever member answers. Nothing of that
// asks for an association's end.
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import type { Random } from "@holdfast/model";
import { type Cluster, ENDPOINT_PORT, type Member, SERVICE_PORT, until } from "@holdfast/testkit";

export const OPERATOR_ACTIONS = [
  "reload",
  "flap-endpoint",
  "drain-endpoint",
  "recreate-v1",
  "recreate-loxilb",
] as const;
export type OperatorAction = (typeof OPERATOR_ACTIONS)[number];

/** Of the service that only the files have, and no association. */
const SPARE_PORT = 5_001;
const PAUSE_MIN_MS = 400;
const PAUSE_MAX_MS = 2_500;
/** Between taking something away and putting it back: well within every grace. */
const AWAY_MAX_MS = 1_500;
/** Members may be dead or have a broken disk: somebody takes it by then. */
const TRY_LIMIT_MS = 30_000;
const STORE_SIZE = "16m";

type Changed = Record<string, Record<string, unknown>> & { services?: object[] };

function edit(member: Member, change: (configuration: Changed) => void): void {
  const configuration = JSON.parse(readFileSync(member.configFile, "utf8")) as Changed;
  change(configuration);
  // Renamed: a member that starts right now reads one or the other.
  const written = `${member.configFile}.new`;
  writeFileSync(written, JSON.stringify(configuration, undefined, 1));
  renameSync(written, member.configFile);
}

const loxilbSocket = (member: Member) => `${member.socket}.loxilb`;

/** Before the members start: LoxiLB's dialect at each, and a store of its own that can fill. */
export function prepareForOperator(cluster: Cluster): void {
  for (const member of cluster.members) {
    edit(member, (configuration) => {
      configuration["loxilb"] = { enabled: true, listen: `unix:${loxilbSocket(member)}` };
    });
    mkdirSync(member.storeDirectory, { recursive: true });
    execFileSync("mount", [
      "-t",
      "tmpfs",
      "-o",
      `size=${STORE_SIZE},mode=0700`,
      "holdfast-test",
      member.storeDirectory,
    ]);
    cluster.lab.onEnd(() => execFileSync("umount", ["--lazy", member.storeDirectory]));
  }
}

const READ_ONLY_TRY_COUNT_MAX = 10;

/**
 * The kernel refuses while a file is open for writing (EBUSY): between two writes of the store it does not.
 */
function becomesReadOnly(directory: string): boolean {
  for (let n = 0; n < READ_ONLY_TRY_COUNT_MAX; n++) {
    try {
      execFileSync("mount", ["-o", "remount,ro", directory], { stdio: "ignore" });
      return true;
    } catch {}
  }
  return false;
}

/** The member's disk takes nothing any more; the result heals it. */
export function failDisk(member: Member, random: Random): () => void {
  const { storeDirectory } = member;
  if (random.below(2) === 0 && becomesReadOnly(storeDirectory))
    return () => execFileSync("mount", ["-o", "remount,rw", storeDirectory]);
  const filler = join(storeDirectory, "filler");
  try {
    writeFileSync(filler, Buffer.alloc(64 * 1024 * 1024));
  } catch {
    // Full: that is the point.
  }
  return () => execFileSync("rm", ["-f", filler]);
}

export class Operator {
  readonly #cluster: Cluster;
  readonly #random: Random;
  readonly #note: (action: string, text: string) => void;
  readonly #violate: (text: string) => void;
  #nextMs = performance.now();
  #busy: Promise<void> = Promise.resolve();
  #isBusy = false;

  constructor(options: {
    readonly cluster: Cluster;
    readonly random: Random;
    readonly note: (action: string, text: string) => void;
    readonly violate: (text: string) => void;
  }) {
    this.#cluster = options.cluster;
    this.#random = options.random;
    this.#note = options.note;
    this.#violate = options.violate;
  }

  /** The service, made by whoever answers. */
  async create(): Promise<void> {
    await this.#somewhere("create", "POST", "/v1/services", this.#spec());
    await this.#cluster.settled();
  }

  /** One thing at a time, as people work. */
  turn(): void {
    if (this.#isBusy || performance.now() < this.#nextMs) return;
    this.#nextMs = performance.now() + PAUSE_MIN_MS + this.#random.below(PAUSE_MAX_MS - PAUSE_MIN_MS);
    const action = OPERATOR_ACTIONS[this.#random.below(OPERATOR_ACTIONS.length)] as OperatorAction;
    this.#isBusy = true;
    this.#busy = this.#act(action)
      .catch((error: unknown) => this.#violate(`operator, ${action}: ${(error as Error).message}`))
      .finally(() => {
        this.#isBusy = false;
      });
  }

  /** Whatever was taken away is back. */
  calm(): Promise<void> {
    return this.#busy;
  }

  async #act(action: OperatorAction): Promise<void> {
    const awayMs = this.#random.below(AWAY_MAX_MS);
    const index = this.#random.below(this.#cluster.endpoints.length);
    const key = `${this.#cluster.endpoints[index]?.addresses("core")[0]}:${ENDPOINT_PORT}`;
    const endpoint = `${this.#url()}/endpoints/${encodeURIComponent(key)}`;
    switch (action) {
      case "reload":
        return this.#reload();
      case "flap-endpoint":
        this.#note(action, `${key}, away for ${awayMs} ms`);
        await this.#somewhere(action, "DELETE", endpoint);
        await this.#pause(awayMs);
        return this.#somewhere(action, "PUT", this.#url(), this.#spec());
      case "drain-endpoint":
        this.#note(action, `${key}, for ${awayMs} ms`);
        await this.#somewhere(action, "POST", `${endpoint}/drain`);
        await this.#pause(awayMs);
        return this.#somewhere(action, "DELETE", `${endpoint}/drain`);
      case "recreate-v1":
        this.#note(action, `away for ${awayMs} ms`);
        await this.#somewhere(action, "DELETE", this.#url());
        await this.#pause(awayMs);
        return this.#somewhere(action, "POST", "/v1/services", this.#spec());
      case "recreate-loxilb":
        this.#note(action, `away for ${awayMs} ms`);
        await this.#somewhere(
          action,
          "DELETE",
          `/netlox/v1/config/loadbalancer/externalipaddress/${this.#cluster.vips[0]}/port/${SERVICE_PORT}/protocol/sctp`,
        );
        await this.#pause(awayMs);
        return this.#somewhere(action, "POST", "/netlox/v1/config/loadbalancer", this.#rule());
    }
  }

  /** One member's file, which need not say what the others' say. */
  async #reload(): Promise<void> {
    const running = this.#cluster.members.filter((member) => member.running);
    const member = running[this.#random.below(Math.max(1, running.length))];
    if (member === undefined) return;
    const isListed = this.#random.below(3) > 0;
    const weight = 1 + this.#random.below(5);
    this.#note("reload", `${member.name}, ${isListed ? `weight ${weight}` : "without its service"}`);
    edit(member, (configuration) => {
      configuration["log"] = { level: this.#random.below(2) === 0 ? "info" : "debug" };
      configuration["services"] = (isListed ? [this.#spare(weight)] : []) as never;
    });
    // As `systemctl reload` does: a unit that still starts is not told, and reads the file anyhow.
    const isStarted = await member.fetch("GET", "/v1/health/ready").then(
      () => true,
      () => false,
    );
    if (isStarted) member.signal("SIGHUP");
  }

  #url(): string {
    return `/v1/services/${encodeURIComponent(`sctp/${this.#cluster.vips[0]}:${SERVICE_PORT}`)}`;
  }

  #spec(): object {
    return this.#cluster.serviceSpec();
  }

  #spare(weight: number): object {
    const [address] = this.#cluster.endpoints[0]?.addresses("core") ?? [];
    return {
      name: "spare",
      vips: [this.#cluster.vips[0]],
      port: SPARE_PORT,
      endpoints: [{ address, port: SPARE_PORT, weight }],
    };
  }

  #rule(): object {
    return {
      serviceArguments: {
        externalIP: this.#cluster.vips[0],
        port: SERVICE_PORT,
        protocol: "sctp",
        mode: 2,
        name: "amf",
      },
      secondaryIPs: this.#cluster.vips.slice(1).map((secondaryIP) => ({ secondaryIP })),
      endpoints: this.#cluster.endpoints.map((host) => ({
        endpointIP: host.addresses("core")[0],
        targetPort: ENDPOINT_PORT,
        weight: 1,
      })),
    };
  }

  /**
   * At one member after the other, until one takes it: as a client with several addresses of one API does.
   */
  async #somewhere(action: string, method: string, path: string, body?: object): Promise<void> {
    let refusal = "";
    await until(
      `${action}: ${method} ${path}`,
      async () => {
        const { members } = this.#cluster;
        const member = members[this.#random.below(members.length)] as Member;
        if (!member.running) return false;
        const { status, text } = await ask(member, method, path, body);
        refusal = `${member.name}: ${status} ${text}`;
        if (status === 404 && text.includes("ENDPOINT_NOT_FOUND") && method === "POST")
          await this.#listAgain(action, member);
        // What is there, or gone, already: the request before did it, and its answer was lost.
        return (
          status < 300 || (method === "DELETE" && status === 404) || (method === "POST" && status === 409)
        );
      },
      TRY_LIMIT_MS,
      100,
    ).catch((error: Error) => {
      throw new Error(`${error.message}; last ${refusal}`);
    });
  }

  /**
   * Of a removal and a list that were said on two sides of a split, one stays (docs/limits.md): whoever sees
   * that it was the removal says the list again, as a controller does.
   */
  async #listAgain(action: string, member: Member): Promise<void> {
    const { status } = await ask(member, "PUT", this.#url(), this.#spec());
    this.#note(action, `the list again at ${member.name}: ${status}`);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, ms));
  }
}

function ask(
  member: Member,
  method: string,
  path: string,
  body: object | undefined,
): Promise<{ readonly status: number; readonly text: string }> {
  const socketPath = path.startsWith("/netlox") ? loxilbSocket(member) : member.socket;
  return new Promise((resolve, reject) => {
    const asked = request(
      {
        socketPath,
        method,
        path,
        timeout: 5_000,
        headers: body === undefined ? {} : { "content-type": "application/json" },
      },
      (response) => {
        const parts: Buffer[] = [];
        response.on("data", (part: Buffer) => parts.push(part));
        response.on("error", reject);
        response.on("end", () =>
          resolve({ status: response.statusCode ?? 0, text: Buffer.concat(parts).toString().slice(0, 300) }),
        );
      },
    );
    asked.on("timeout", () => asked.destroy(new Error(`${method} ${path} timed out`)));
    asked.on("error", reject);
    asked.end(body === undefined ? undefined : JSON.stringify(body));
  });
}
