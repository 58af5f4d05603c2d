// `holdfast agent`: prepares a node that is no member, where pods are endpoints or clients. It carries no
// traffic. Which VIPs there are it asks the members, any of them; while none answers it goes on with what it
// knows.
//
// What it makes is one table of nftables whose addresses have a time-out, and puts them in again in time: it
// may be killed, replaced by a newer one, or never started again, and the node is what it was a quarter of an
// hour after the last one.
import { createServer, type Server } from "node:http";
import { type ApiClient, type MemberAddress, Members } from "@holdfast/api";
import { type Clock, isAddress, type Logger, systemClock, type Timer } from "@holdfast/model";
import { createLogger } from "../log.ts";
import { HostPreparation } from "./preparation.ts";
import { type HostTools, hostTools } from "./tools.ts";

const TABLE = { name: "holdfast_agent", timeoutS: 900 } as const;
/** Longest time between two questions while nobody answers. */
const BACKOFF_MOST_MS = 10_000;

export interface AgentOptions {
  readonly members: readonly MemberAddress[];
  /** Between two questions, ms. */
  readonly periodMs: number;
  readonly tools?: HostTools;
  readonly clock?: Clock;
  readonly logger?: Logger;
}

export class Agent {
  readonly #preparation: HostPreparation;
  readonly #members: Members;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #periodMs: number;
  #failures = 0;
  #hasList = false;
  #timer: Timer | undefined;
  #asking: Promise<void> | undefined;
  #stopped = false;

  constructor(options: AgentOptions) {
    this.#clock = options.clock ?? systemClock;
    this.#logger = options.logger ?? createLogger({ cluster: "", self: "agent" }, "info");
    this.#periodMs = options.periodMs;
    this.#members = new Members(options.members, (from, to, error) =>
      this.#logger.warn({ member: from, next: to, reason: error.message }, "a member does not answer"),
    );
    this.#preparation = new HostPreparation(
      {
        loop: undefined,
        identityNat: true,
        natTable: TABLE,
        rpFilter: "tell",
        servingInterfaces: () => [],
        owner: "agent",
      },
      options.tools ?? hostTools,
      this.#clock,
      this.#logger,
    );
  }

  /** Some member has told what there is, and it is done. */
  get isReady(): boolean {
    return this.#hasList && this.#preparation.status.warnings.length === 0;
  }

  /** Why it is not ready, for people. */
  get trouble(): string {
    if (!this.#hasList) return "no member has told the VIPs yet";
    return this.#preparation.status.warnings.map(({ code, message }) => `${code}: ${message}`).join(" ");
  }

  start(): void {
    // What an earlier one put in stays until it is known what there is.
    this.#preparation.setVips([], false);
    this.#ask();
  }

  /** Everything stays until its time is over: the next one takes it up. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#asking;
    await this.#preparation.close(true);
  }

  /** Takes away what this or an earlier one made. Throws HOST_NFT_FAILED. */
  async remove(): Promise<void> {
    await this.#preparation.removeNat();
  }

  #ask(): void {
    this.#asking = this.#members
      .ask((client: ApiClient) => client.listVips())
      .then(
        (vips) => {
          if (this.#failures > 0) this.#logger.info({ failures: this.#failures }, "members answer again");
          this.#failures = 0;
          this.#hasList = true;
          this.#preparation.setVips(vips.map(({ vip }) => vip).filter(isAddress), true);
        },
        (error: unknown) => {
          if (this.#failures++ === 0)
            this.#logger.warn({ reason: String(error) }, "no member answers: what is known stays");
        },
      )
      .finally(() => {
        if (this.#stopped) return;
        const waitMs = Math.min(
          this.#periodMs * 2 ** Math.min(this.#failures, 10),
          Math.max(BACKOFF_MOST_MS, this.#periodMs),
        );
        this.#timer = this.#clock.after(waitMs, () => this.#ask());
      });
  }

  /** The question that is under way, and what follows from its answer. */
  async settled(): Promise<void> {
    await this.#asking;
    await this.#preparation.settled();
  }
}

/** Runs until SIGTERM or SIGINT; the exit code. `remove`: takes away what was made, and ends. */
export async function runAgent(
  options: AgentOptions & { readonly listen: string; readonly remove: boolean },
): Promise<number> {
  const agent = new Agent(options);
  if (options.remove) {
    await agent.remove();
    return 0;
  }
  const server = await serve(options.listen, agent);
  agent.start();
  await new Promise<void>((resolve) => {
    process.once("SIGTERM", resolve);
    process.once("SIGINT", resolve);
  });
  await agent.stop();
  server.closeAllConnections();
  server.close();
  return 0;
}

async function serve(listen: string, agent: Agent): Promise<Server> {
  const at = listen.lastIndexOf(":");
  const server = createServer((request, response) => {
    const answer = (status: number, text: string) => {
      response.writeHead(status, { "content-type": "text/plain; charset=utf-8" });
      response.end(`${text}\n`);
    };
    if (request.url === "/healthz") return answer(200, "ok");
    if (request.url === "/readyz") return agent.isReady ? answer(200, "ok") : answer(503, agent.trouble);
    return answer(404, "there are /healthz and /readyz");
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    const host = listen.slice(0, at).replace(/^\[|\]$/g, "");
    server.listen({ host, port: Number(listen.slice(at + 1)) }, resolve);
  });
  return server;
}
