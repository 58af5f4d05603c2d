// The same, applied with Kubernetes: a Service, its pods, and what an operator and fate do to them; each
// with its clock.
import type { Address } from "@holdfast/model";
import { pause, until } from "@holdfast/testkit";
import { BesideLab, SERVICE } from "../kubernetes/beside-lab.ts";
import { type RealServer, startRealServer } from "../kubernetes/real-server.ts";
import { bold, cyan, dim, green, yellow } from "./screen.ts";
import type { Figures, Stage } from "./stage.ts";
import { macsOf, takeoverMs } from "./story-cluster.ts";
import { FLOW_MS } from "./story-paths.ts";

/** From the operator's word, or the death, until it is so. */
export interface KubernetesClocks {
  /** An address in the Service. */
  readonly addressMs: number;
  /** Every member has the Service's pod, and it is up. */
  readonly servedMs: number;
  readonly scaledMs: number;
  readonly takeoverMs: number;
  /** The new owner in the Service. */
  readonly toldMs: number;
  /** A pod that terminates takes nothing new, anywhere. */
  readonly drainedMs: number;
  readonly deletedMs: number;
}

export type KubernetesFigures = Figures & KubernetesClocks;

export class KubernetesStory {
  readonly #stage: Stage;
  readonly #clocks: Partial<Record<keyof KubernetesClocks, number>> = {};
  #server: RealServer | undefined;
  #kubernetes: BesideLab | undefined;

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  async tell(): Promise<KubernetesFigures> {
    const { screen } = this.#stage;
    screen.say("kube-apiserver and etcd are started (the first time ever they are built: some ten minutes)");
    this.#server = await startRealServer();
    const { binaries, readyAfterMs } = this.#server;
    screen.say(
      `kube-apiserver is ready after ${bold(`${(readyAfterMs / 1000).toFixed(1)} s`)} ${dim(binaries.how)}`,
    );
    await this.#stage.open({}, () => this.#apply());
    await pause(FLOW_MS);
    await this.#scale();
    await this.#kill();
    await this.#drain();
    await this.#delete();
    const figures = await this.#stage.settle();
    return { ...figures, ...(this.#clocks as KubernetesClocks) };
  }

  async close(): Promise<void> {
    await this.#kubernetes?.close();
    await this.#server?.close();
  }

  get #beside(): BesideLab {
    if (this.#kubernetes === undefined) throw new Error("the story has not begun");
    return this.#kubernetes;
  }

  /** Says what was done when `isSo` has resolved, and how long it took. */
  async #clock(name: keyof KubernetesClocks, text: string, isSo: () => Promise<unknown>): Promise<void> {
    const startedAtMs = performance.now();
    await isSo();
    const ms = Math.round(performance.now() - startedAtMs);
    this.#clocks[name] = ms;
    this.#stage.screen.say(green(`${text}: ${bold(`${ms} ms`)}`));
  }

  async #apply(): Promise<void> {
    const { screen, cluster: lab } = this.#stage;
    const kubernetes = new BesideLab(this.#server as RealServer, lab);
    this.#kubernetes = kubernetes;
    await kubernetes.control();
    screen.say(
      `a controller leads, with the rights of its role. ${bold("kubectl apply")}: a VipPool for each path, Service ${SERVICE} with a pod`,
    );
    const appliedAtMs = performance.now();
    await this.#clock(
      "addressMs",
      `${cyan(lab.vips.join(", "))}: the Service has its addresses`,
      async () => {
        await kubernetes.apply();
        await kubernetes.cluster.address(SERVICE);
      },
    );
    await kubernetes.seen(`${kubernetes.podAddress(0)} active`);
    this.#clocks.servedMs = Math.round(performance.now() - appliedAtMs);
    screen.say(green(`every member serves it, and its pod is up: ${bold(`${this.#clocks.servedMs} ms`)}`));
    for (const [vip, owner] of await lab.settled()) screen.say(`  ${cyan(vip)} belongs to ${bold(owner)}`);
  }

  async #scale(): Promise<void> {
    const kubernetes = this.#beside;
    this.#stage.screen.say(yellow(`${bold("scale to 2")}: a second pod is ready`));
    await this.#clock("scaledMs", "it is an endpoint at every member, and up", async () => {
      await kubernetes.pods({ 0: "ready", 1: "ready" });
      await kubernetes.seen(`${kubernetes.podAddress(0)} active`, `${kubernetes.podAddress(1)} active`);
    });
    await pause(FLOW_MS);
  }

  async #kill(): Promise<void> {
    const { screen, cluster: lab } = this.#stage;
    const vip = lab.vips[0] as Address;
    const owner = lab.memberOf((await lab.settled()).get(vip) as string);
    const macs = macsOf(owner);
    screen.say(
      yellow(`${bold(`killing node ${owner.name}`)}, the owner of ${vip}: its interfaces vanish, kill -9`),
    );
    const killedAtMs = Date.now();
    await owner.killNode();
    await this.#clock("toldMs", "the Service names the new owner", () =>
      until(
        "the new owner in the Service",
        async () => {
          const owners = await this.#beside.owners();
          return owners.includes("=") && !owners.includes(`=${owner.name}`);
        },
        30_000,
      ),
    );
    const takeover = await until("a successor", () => takeoverMs(this.#stage, vip, macs, killedAtMs), 15_000);
    this.#clocks.takeoverMs = Math.round(takeover);
    screen.say(green(`the messages to ${cyan(vip)} were silent for ${bold(`${takeover.toFixed(0)} ms`)}`));
    screen.say(`bringing ${bold(owner.name)} back`);
    owner.host.plug();
    await owner.start();
    await lab.settled();
    await pause(FLOW_MS);
  }

  async #drain(): Promise<void> {
    const kubernetes = this.#beside;
    this.#stage.screen.say(
      yellow(`${bold("kubectl delete pod")}: the first pod terminates, and still serves`),
    );
    await this.#clock("drainedMs", "it takes nothing new, and keeps what it has", async () => {
      await kubernetes.pods({ 0: "terminating", 1: "ready" });
      await kubernetes.seen(`${kubernetes.podAddress(0)} drain`, `${kubernetes.podAddress(1)} active`);
    });
    await pause(FLOW_MS);
  }

  async #delete(): Promise<void> {
    const { cluster } = this.#beside;
    this.#stage.screen.say(yellow(bold(`kubectl delete service ${SERVICE}`)));
    await this.#clock("deletedMs", "it is gone; its associations go on until they end", async () => {
      await cluster.remove(SERVICE);
      await until("its end", () => cluster.isGone(SERVICE));
    });
    await pause(FLOW_MS);
  }
}
