// A three-member cluster under load, struck at random for as long as one likes, and what must have held in
// the end.
import { rmSync } from "node:fs";
import { type Random, seededRandom } from "@holdfast/model";
import { type Cluster, type Host, type Member, until } from "@holdfast/testkit";
import { Scene } from "../cluster/scene.ts";
import { type Edges, type Evidence, examine, startEdges } from "./evidence.ts";
import { failDisk, Operator, prepareForOperator } from "./operator.ts";
import { type Blow, type Fault, isMemberFault, nextBlow } from "./schedule.ts";

export interface ChaosOptions {
  readonly minutes: number;
  readonly seed: number;
  /** An operator works meanwhile, and disks fail. */
  readonly operator?: boolean;
  readonly say?: (line: string) => void;
  /** true: end early, judge, clean up. */
  readonly stopped?: () => boolean;
}

export interface ChaosReport {
  readonly seed: number;
  readonly minutes: number;
  readonly associations: number;
  readonly associationsLost: number;
  readonly messagesSent: number;
  readonly messagesLost: number;
  readonly longestGapMs: number;
  readonly blows: Readonly<Record<string, number>>;
  readonly evidence: Evidence;
  /** Empty: everything held. */
  readonly violations: readonly string[];
}

/** Client hosts by number of paths, and associations of each. */
const CLIENTS = [1, 2, 3, 3, 2, 1, 3] as const;
const ASSOCIATIONS_PER_CLIENT = 3;
const RATE_PER_SECOND = 10;
/**
 * A stack gives up after this many time-outs in a row: some 8 s at 400 ms. Every cut at an edge is shorter.
 */
const ASSOC_MAX_RETRANS = 20;
const PAUSE_MIN_MS = 300;
const PAUSE_MAX_MS = 2_500;
/** After a cut at an edge was healed: stacks come back to their paths. */
const EDGE_REST_MS = 2_000;
const EDGES_LAST_MS = 120_000;
const READY_LIMIT_MS = 60_000;
const TURN_MS = 100;

export async function chaos(options: ChaosOptions): Promise<ChaosReport> {
  const say = options.say ?? (() => {});
  const violations: string[] = [];
  const blows: Record<string, number> = {};
  const evidence: Evidence = { packets: 0, ownAborts: 0, leaks: 0, wrongChecksums: 0, sharedNatPorts: 0 };
  const figures = { associations: 0, associationsLost: 0, messagesSent: 0, messagesLost: 0, longestGapMs: 0 };
  let ranMs = 0;
  let operator: Operator | undefined;
  const operatorOf = (cluster: Cluster) =>
    new Operator({
      cluster,
      random: seededRandom(options.seed + 1),
      note: (action, text) => {
        blows[action] = (blows[action] ?? 0) + 1;
        say(`           ${action} ${text}`);
      },
      violate: (text) => void violations.push(text),
    });
  await Scene.play(
    {
      members: 3,
      clients: CLIENTS,
      vipNetworks: true,
      rate: RATE_PER_SECOND,
      associations: ASSOCIATIONS_PER_CLIENT,
      assocMaxRetrans: ASSOC_MAX_RETRANS,
      ...(options.operator === true && {
        endpoints: 2,
        withService: false,
        beforeStart: prepareForOperator,
        beforeClients: async (cluster) => {
          operator = operatorOf(cluster);
          await operator.create();
        },
      }),
    },
    async (scene) => {
      say(`${CLIENTS.length * ASSOCIATIONS_PER_CLIENT} associations`);
      const random = seededRandom(options.seed);
      const storm = new Storm(scene, random, violations, blows, say, options.operator === true);
      let edges: Edges = { atClients: scene.atClients.splice(0), atEndpoints: scene.atEndpoints.splice(0) };
      const startedMs = performance.now();
      const endMs = startedMs + options.minutes * 60_000;
      let edgesEndMs = startedMs + EDGES_LAST_MS;
      while (performance.now() < endMs && options.stopped?.() !== true && violations.length === 0) {
        storm.turn();
        operator?.turn();
        if (performance.now() > edgesEndMs) {
          const next = await startEdges(scene);
          await look(scene, edges, evidence, violations);
          edges = next;
          edgesEndMs = performance.now() + EDGES_LAST_MS;
        }
        await new Promise((resolve) => setTimeout(resolve, TURN_MS));
      }
      ranMs = performance.now() - startedMs;
      say("healing everything");
      await Promise.all([storm.calm(), operator?.calm()]);
      await note(violations, () => scene.flowing(10, 60_000));
      await note(violations, () => count(scene, figures, violations));
      await look(scene, edges, evidence, violations);
      for (const member of scene.cluster.members)
        if (member.crashed) violations.push(`${member.name} ended by itself`);
      if (violations.length > 0) say(scene.logs());
    },
  );
  const minutes = Math.round(ranMs / 600) / 100;
  return { seed: options.seed, minutes, ...figures, blows, evidence, violations };
}

/** The blows that have fallen and what they broke. */
class Storm {
  readonly #scene: Scene;
  readonly #random: Random;
  readonly #violations: string[];
  readonly #blows: Record<string, number>;
  readonly #say: (line: string) => void;
  readonly #disksFail: boolean;
  readonly #broken = new Set<string>();
  readonly #running = new Set<Promise<void>>();
  readonly #startedMs = performance.now();
  #edgeCut = false;
  #nextMs = performance.now();
  /** Set: what is broken is healed at once. */
  #calming = false;

  constructor(
    scene: Scene,
    random: Random,
    violations: string[],
    blows: Record<string, number>,
    say: (line: string) => void,
    disksFail: boolean,
  ) {
    this.#disksFail = disksFail;
    this.#scene = scene;
    this.#random = random;
    this.#violations = violations;
    this.#blows = blows;
    this.#say = say;
  }

  turn(): void {
    if (performance.now() < this.#nextMs) return;
    this.#nextMs = performance.now() + PAUSE_MIN_MS + this.#random.below(PAUSE_MAX_MS - PAUSE_MIN_MS);
    const blow = nextBlow(this.#random, {
      members: this.#scene.cluster.members.map(({ name }) => ({ name, sound: !this.#broken.has(name) })),
      edgeCut: this.#edgeCut,
      disksFail: this.#disksFail,
    });
    if (blow === undefined) return;
    this.#blows[blow.fault] = (this.#blows[blow.fault] ?? 0) + 1;
    const atS = ((performance.now() - this.#startedMs) / 1_000).toFixed(1);
    const where = isMemberFault(blow.fault) ? blow.member : `client ${blow.client % CLIENTS.length}`;
    this.#say(`${atS.padStart(7)} s  ${blow.fault} ${where} ${blow.network}, ${blow.lastsMs} ms`);
    const task: Promise<void> = this.#strike(blow)
      .catch((error: unknown) => {
        this.#violations.push(`${blow.fault} of ${where}: ${(error as Error).message}`);
      })
      .finally(() => this.#running.delete(task));
    this.#running.add(task);
  }

  /** Nothing is broken any more. */
  async calm(): Promise<void> {
    this.#calming = true;
    await Promise.all(this.#running);
  }

  async #strike(blow: Blow): Promise<void> {
    if (!isMemberFault(blow.fault)) return this.#strikeEdge(blow);
    const member = this.#scene.cluster.memberOf(blow.member);
    this.#broken.add(member.name);
    const heal =
      blow.fault === "fail-disk"
        ? failDisk(member, this.#random)
        : await strikeMember(member, blow.fault, blow.network);
    await this.#last(blow.lastsMs);
    heal();
    await member.ready(READY_LIMIT_MS);
    // Sound is who can own: all name the same owners again.
    await this.#scene.cluster.settled(READY_LIMIT_MS).catch((error: unknown) => {
      // Others may be struck meanwhile; only a quiet cluster must agree.
      if (this.#broken.size === 1) throw error;
    });
    this.#broken.delete(member.name);
  }

  async #strikeEdge(blow: Blow): Promise<void> {
    const { cluster } = this.#scene;
    this.#edgeCut = true;
    const index = blow.client % CLIENTS.length;
    const [host, network] =
      blow.fault === "cut-endpoint"
        ? [cluster.endpoints[0] as Host, "core"]
        : [cluster.clients[index] as Host, CLIENTS[index] === 1 ? "path-a" : networkOf(blow, index)];
    host.cut(network);
    await this.#last(blow.lastsMs);
    host.heal(network);
    await this.#last(EDGE_REST_MS);
    this.#edgeCut = false;
  }

  async #last(ms: number): Promise<void> {
    const endMs = performance.now() + ms;
    await until("the blow to last", () => this.#calming || performance.now() >= endMs, ms + 30_000, 20);
  }
}

function networkOf(blow: Blow, index: number): string {
  return CLIENTS[index] === 2 && blow.network === "path-c" ? "path-b" : blow.network;
}

/** Does it; the result undoes it. */
async function strikeMember(member: Member, fault: Fault, network: string): Promise<() => void> {
  const cut = (name: string) => {
    member.host.cut(name);
    return () => member.host.heal(name);
  };
  switch (fault) {
    case "kill-node":
      await member.killNode();
      return () => {
        // A node that lost its power has lost what its kernel kept.
        rmSync(member.pinDirectory, { recursive: true, force: true });
        member.host.plug();
        member.launch();
      };
    case "kill-daemon":
      await member.killDaemon();
      return () => member.launch();
    case "graceful-stop": {
      const code = await member.stop();
      if (code !== 0) {
        const [why = ""] = member.log().match(/[^\n]*an error of our own[^\n]*$/m) ?? [];
        throw new Error(`ended with ${code}: ${why}`);
      }
      return () => member.launch();
    }
    case "freeze":
      member.signal("SIGSTOP");
      return () => member.signal("SIGCONT");
    case "cut-member-path":
      return cut(network);
    case "cut-member-core":
      return cut("core");
    case "cut-cluster-network":
      return cut("cluster");
    default:
      throw new Error(`${fault} is no member's fault`);
  }
}

async function note(violations: string[], action: () => Promise<void>): Promise<void> {
  try {
    await action();
  } catch (error) {
    violations.push((error as Error).message);
  }
}

async function look(scene: Scene, edges: Edges, evidence: Evidence, violations: string[]): Promise<void> {
  await note(violations, async () => {
    violations.push(...(await examine(scene, edges, evidence)));
  });
  // Hours of captures do not fit on a disk; those of a stretch that went wrong are worth their room.
  if (violations.length > 0 && process.env["HOLDFAST_KEEP_LAB"] !== undefined) return;
  for (const { file } of [...edges.atClients, ...edges.atEndpoints]) rmSync(file, { force: true });
}

/** Stops the numbers and compares what was sent with what arrived. */
async function count(
  scene: Scene,
  figures: {
    associations: number;
    associationsLost: number;
    messagesSent: number;
    messagesLost: number;
    longestGapMs: number;
  },
  violations: string[],
): Promise<void> {
  const associations = (await Promise.all(scene.clients.map((client) => client.settle()))).flat();
  const receipts = (await Promise.all(scene.servers.map((server) => server.receipts()))).flat();
  figures.associations = associations.length;
  for (const association of associations) {
    const received = receipts
      .filter(({ client }) => client === association.id)
      .reduce((sum, receipt) => sum + receipt.received, 0);
    figures.messagesSent += association.sent;
    figures.messagesLost += Math.max(0, association.sent - received);
    const ended = !association.up || association.ups !== 1 || association.lost + association.restarts > 0;
    if (ended) figures.associationsLost++;
    if (ended || received !== association.sent)
      violations.push(`association ${association.id}: ${JSON.stringify({ ...association, received })}`);
  }
  for (const receipt of receipts) {
    figures.longestGapMs = Math.max(figures.longestGapMs, Math.round(receipt.longestGapMs));
    if (receipt.corrupt + receipt.duplicates > 0) violations.push(`receipt ${JSON.stringify(receipt)}`);
  }
}
