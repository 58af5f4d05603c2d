// GoBGP (4.8 and newer) behind the speaker's port: routers in its file, routes and what is said of them over its API.
import { type ChildProcess, spawnSync } from "node:child_process";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Address } from "@holdfast/model";
import { ANSWER_TIMEOUT_MS, ChildSpeaker, type SpeakerView } from "../child-speaker.ts";
import type { RouterConfiguration } from "../configuration.ts";
import { spawnSpeaker } from "../process.ts";
import type { SpeakerSession } from "../speaker.ts";
import { GobgpApi, type GobgpPeer } from "./api.ts";
import { addressOf, gobgpFile } from "./file.ts";
import { gobgpPolicies } from "./policies.ts";

const TABLE_GLOBAL = 1;
const DIRECTION_OUT = 2;
const AFI = { ipv4: 1, ipv6: 2 } as const;
const SAFI_UNICAST = 1;
const SESSIONS = ["Idle", "Idle", "Connect", "Active", "OpenSent", "OpenConfirm", "Established"] as const;
const BFD = ["Down", "Up", "Down", "AdminDown", "Init"] as const;
/** Requests on their way at a time: a thousand at once would wait for each other beyond the deadline. */
const PATHS_AT_A_TIME = 64;

export class GobgpSpeaker extends ChildSpeaker {
  #child: ChildProcess | undefined;
  #api: GobgpApi | undefined;
  #file = "";
  #policies = "";
  #paths = new Set<Address>();

  #at(name: string): string {
    return join(this.options.directory, name);
  }

  protected prepare(): boolean {
    this.#file = gobgpFile(this.configuration);
    writeFileSync(this.#at("gobgp.toml"), this.#file, { mode: 0o600 });
    // It does not start over the socket of one that was killed.
    rmSync(this.#at("gobgp.sock"), { force: true });
    this.#policies = "";
    this.#paths = new Set();
    return false;
  }

  protected spawn(): ChildProcess {
    const { program, logger } = this.options;
    const words = ["-f", this.#at("gobgp.toml"), "--api-hosts", `unix://${this.#at("gobgp.sock")}`];
    this.#child = spawnSpeaker([program, ...words, "--pprof-disable", "--log-plain"], {
      user: undefined,
      realtime: this.isRealtime,
      onLine(line) {
        if (/level=(?:ERROR|FATAL)|level=(?:error|fatal)/.test(line))
          logger.error({ speaker: "gobgp" }, line);
        else logger.debug({ speaker: "gobgp" }, line);
      },
    });
    return this.#child;
  }

  protected async connect(): Promise<string | undefined> {
    if (!existsSync(this.#at("gobgp.sock"))) return undefined;
    const api = new GobgpApi(this.#at("gobgp.sock"), ANSWER_TIMEOUT_MS);
    try {
      // Its file is read once its routers are there.
      if ((await api.peers()).length < this.configuration.routers.length)
        throw new Error("not all are there");
    } catch {
      api.close();
      return undefined;
    }
    this.#api = api;
    const { stdout } = spawnSync(this.options.program, ["--version"], { encoding: "utf8" });
    return `GoBGP ${/(\d+\.\d+\.\d+)/.exec(stdout)?.[1] ?? "of an unknown version"}`;
  }

  protected disconnect(): void {
    this.#api?.close();
    this.#api = undefined;
  }

  protected forget(): void {
    rmSync(this.#at("gobgp.toml"), { force: true });
  }

  /** Policies first: what is new goes out once, as it should. What changed is sent anew by the soft reset, in place. */
  protected async tell(): Promise<string | undefined> {
    const api = this.#live();
    const file = gobgpFile(this.configuration);
    if (file !== this.#file) {
      writeFileSync(this.#at("gobgp.toml"), file, { mode: 0o600 });
      this.#file = file;
      this.#child?.kill("SIGHUP");
      await this.#reloaded(api);
    }
    const wanted = new Set(this.routes.map(({ vip }) => vip));
    await this.#each(
      [...this.#paths].filter((vip) => !wanted.has(vip)),
      async (vip) => {
        await api.call("DeletePath", { table_type: TABLE_GLOBAL, family: familyOf(vip), path: pathOf(vip) });
        this.#paths.delete(vip);
      },
    );
    const request = gobgpPolicies(this.configuration, this.routes);
    const policies = JSON.stringify(request);
    const isChanged = policies !== this.#policies;
    if (isChanged) await api.call("SetPolicies", request);
    this.#policies = policies;
    await this.#each(
      [...wanted].filter((vip) => !this.#paths.has(vip)),
      async (vip) => {
        await api.call("AddPath", { table_type: TABLE_GLOBAL, path: pathOf(vip) });
        this.#paths.add(vip);
      },
    );
    if (isChanged) await api.call("ResetPeer", { address: "all", soft: true, direction: DIRECTION_OUT });
    return undefined;
  }

  protected async look(): Promise<SpeakerView> {
    const peers = await this.#live().peers();
    const sessions = new Map<string, SpeakerSession>();
    for (const router of this.configuration.routers) {
      const peer = peerOf(peers, router);
      const { session_state = 0, disconnect_message = "", bfd_state } = peer?.state ?? {};
      const session = SESSIONS[session_state] ?? "Down";
      sessions.set(router.name, {
        session: peer === undefined ? "Down" : session,
        info:
          peer === undefined
            ? "the speaker does not know it"
            : session === "Established"
              ? ""
              : disconnect_message,
        bfd: router.bfd === undefined ? undefined : (BFD[bfd_state?.session_state ?? 0] ?? "Down"),
      });
    }
    return { sessions, failure: undefined };
  }

  /** SIGHUP has no answer: its routers are those of the file, or it takes too long. */
  async #reloaded(api: GobgpApi): Promise<void> {
    const { clock } = this.options;
    const limitMs = clock.nowMs() + ANSWER_TIMEOUT_MS;
    const { routers } = this.configuration;
    for (;;) {
      const peers = await api.peers();
      if (peers.length === routers.length && routers.every((each) => peerOf(peers, each) !== undefined))
        return;
      if (clock.nowMs() > limitMs) throw new Error("it did not read its file");
      await new Promise<void>((resolve) => clock.after(20, resolve));
    }
  }

  async #each(vips: readonly Address[], action: (vip: Address) => Promise<void>): Promise<void> {
    for (let at = 0; at < vips.length; at += PATHS_AT_A_TIME)
      await Promise.all(vips.slice(at, at + PATHS_AT_A_TIME).map(action));
  }

  #live(): GobgpApi {
    if (this.#api === undefined) throw new Error("its API is closed");
    return this.#api;
  }
}

function peerOf(peers: readonly GobgpPeer[], router: RouterConfiguration): GobgpPeer | undefined {
  return peers.find(({ conf }) =>
    router.address === undefined
      ? conf?.neighbor_interface === router.interface
      : conf?.neighbor_address === addressOf(router),
  );
}

function familyOf(vip: Address): object {
  return { afi: vip.includes(":") ? AFI.ipv6 : AFI.ipv4, safi: SAFI_UNICAST };
}

/** The next hop is the session's own address. */
function pathOf(vip: Address): object {
  const v6 = vip.includes(":");
  return {
    family: familyOf(vip),
    nlri: { prefix: { prefix: vip, prefix_len: v6 ? 128 : 32 } },
    pattrs: [{ origin: { origin: 0 } }, { next_hop: { next_hop: v6 ? "::" : "0.0.0.0" } }],
  };
}
