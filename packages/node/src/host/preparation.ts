// What a member or an agent makes of its host beside a CNI and kube-proxy: the loop, the identity NAT,
// settings of the kernel. What is there is compared with what is wanted and only the difference is made, so
// that a start after a kill adopts what it finds, and whatever somebody else took away comes back.
import { type Address, type Clock, HoldfastError, type Logger, type Timer } from "@holdfast/model";
import {
  addressesScript,
  type Family,
  NAT_FAMILIES,
  type NatState,
  type NatTable,
  NO_SUCH_TABLE,
  natStateOf,
  ofFamily,
  removalScript,
  tableQuestion,
  tableScript,
} from "./identity-nat.ts";
import {
  type LoopNames,
  type LoopState,
  linkLines,
  loopMtu,
  loopNames,
  readAlias,
  readLoop,
  routeLines,
  routeRemovalLines,
  standingOf,
} from "./loop.ts";
import type { HostTools } from "./tools.ts";

/** How often somebody looks whether all is as it was made. */
const CHECK_PERIOD_MS = 10_000;
/** After something failed. */
const RETRY_PERIOD_MS = 1_000;
const STRICT = "1";
const LOOSE = "2";

export interface HostWishes {
  /** Undefined: none, and one of ours is taken away. */
  readonly loop: { readonly name: string } | undefined;
  /** Undefined: none; `name` of the table that would be ours is in `natTable`. */
  readonly identityNat: boolean;
  readonly natTable: NatTable;
  /** tell: a warning; set: loose on `servingInterfaces` while the loop is there. */
  readonly rpFilter: "tell" | "set";
  /** Interfaces on which packets of VIPs come in that this host's routes would send elsewhere. */
  readonly servingInterfaces: () => readonly string[];
  /** CLUSTER/MEMBER, without blanks. */
  readonly owner: string;
}

/** Something that an operator should know, by its code in docs/errors.md. */
export interface HostWarning {
  readonly code: string;
  readonly message: string;
  readonly remedy: string;
}

export interface HostStatus {
  readonly loop?: { readonly interface: string; readonly mtu: number; readonly vips: number };
  readonly identityNat?: { readonly table: string; readonly vips: number };
  readonly warnings: readonly HostWarning[];
}

export class HostPreparation {
  readonly #wishes: HostWishes;
  readonly #tools: HostTools;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #vips: readonly Address[] = [];
  /** false: there may be others that are not known yet; none is taken away. */
  #isComplete = false;
  #status: HostStatus = { warnings: [] };
  #running: Promise<void> | undefined;
  #again = false;
  #closed = false;
  #timer: Timer | undefined;
  /** Written into a set with a time-out, and when. */
  #refreshedAtMs = Number.NEGATIVE_INFINITY;
  onStatus: (status: HostStatus) => void = () => {};

  constructor(wishes: HostWishes, tools: HostTools, clock: Clock, logger: Logger) {
    this.#wishes = wishes;
    this.#tools = tools;
    this.#clock = clock;
    this.#logger = logger;
  }

  get status(): HostStatus {
    return this.#status;
  }

  /**
   * Makes the loop's links, before programs are hung on them. Throws HOST_LOOP_NAME_TAKEN, HOST_IP_FAILED
   * where the loop is wanted.
   */
  async open(): Promise<void> {
    const { loop, owner } = this.#wishes;
    if (loop !== undefined) {
      const names = loopNames(loop.name);
      const state = await readLoop(this.#tools, names);
      if (standingOf(state, names, owner) === "foreign")
        throw new HoldfastError("HOST_LOOP_NAME_TAKEN", { interfaces: `${names.near}, ${names.far}` });
      await this.#batch(
        undefined,
        linkLines(state, names, { owner, before: this.#settingsBefore(state, names) }),
      );
    }
  }

  /** Of an earlier start, under a name that is not wanted any more; never somebody else's. */
  async removeLoop(name: string): Promise<void> {
    const names = loopNames(name);
    const state = await readLoop(this.#tools, names);
    const standing = standingOf(state, names, this.#wishes.owner);
    if (standing === "absent" || standing === "foreign") return;
    await this.#takeLoopAway(state, names);
  }

  /** Those that are served anywhere in the cluster. `isComplete`: there are no others. */
  setVips(vips: readonly Address[], isComplete: boolean): void {
    const next = [...new Set(vips)].sort();
    if (next.join() === this.#vips.join() && isComplete === this.#isComplete && this.#timer !== undefined)
      return;
    this.#vips = next;
    this.#isComplete = isComplete;
    this.look();
  }

  /** Compares and repairs now. */
  look(): void {
    if (this.#closed) return;
    if (this.#running !== undefined) {
      this.#again = true;
      return;
    }
    this.#running = this.#reconcile().finally(() => {
      this.#running = undefined;
      if (!this.#again) return;
      this.#again = false;
      this.look();
    });
  }

  /** Resolves when what is under way is done. */
  async settled(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  /**
   * `keep`: everything stays where it is, for the data plane that stays. Else routes and NAT go, not the
   * links.
   */
  async close(keep: boolean): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.settled();
    if (keep) return;
    const { loop } = this.#wishes;
    if (loop !== undefined) {
      const names = loopNames(loop.name);
      const state = await readLoop(this.#tools, names);
      for (const family of NAT_FAMILIES) await this.#batch(family, routeRemovalLines(state, family, names));
    }
    await this.removeNat();
  }

  async #reconcile(): Promise<void> {
    const warnings: HostWarning[] = [];
    let status: HostStatus = { warnings };
    let failed = false;
    const attempt = async (part: () => Promise<HostStatus>) => {
      try {
        status = { ...status, ...(await part()) };
      } catch (error) {
        if (!(error instanceof HoldfastError)) throw error;
        failed = true;
        warnings.push({ code: error.code, message: error.message, remedy: error.remedy });
      }
    };
    const { loop, identityNat } = this.#wishes;
    if (loop !== undefined) await attempt(() => this.#makeLoop(loopNames(loop.name), warnings));
    if (identityNat) await attempt(() => this.#makeNat());
    if (this.#tools.setting("net/ipv4/ip_forward") === "0")
      warnings.push(warningOf("HOST_NOT_FORWARDING", {}));
    this.#tell({ ...status, warnings });
    if (this.#closed) return;
    this.#timer?.cancel();
    this.#timer = this.#clock.after(failed ? RETRY_PERIOD_MS : CHECK_PERIOD_MS, () => this.look());
  }

  async #makeLoop(names: LoopNames, warnings: HostWarning[]): Promise<HostStatus> {
    const { owner } = this.#wishes;
    const state = await readLoop(this.#tools, names);
    if (standingOf(state, names, owner) === "foreign")
      throw new HoldfastError("HOST_LOOP_NAME_TAKEN", { interfaces: `${names.near}, ${names.far}` });
    const before = this.#settingsBefore(state, names);
    const strict = this.#strictInterfaces();
    // Written down before it is changed.
    await this.#batch(undefined, linkLines(state, names, { owner, before }));
    if (this.#wishes.rpFilter === "set")
      for (const name of strict) this.#tools.set(`net/ipv4/conf/${name}/rp_filter`, LOOSE);
    const left = this.#strictInterfaces();
    if (left.length > 0) warnings.push(warningOf("HOST_RP_FILTER_STRICT", { interfaces: left.join(", ") }));
    for (const family of NAT_FAMILIES) {
      const hasAny = ofFamily(this.#vips, family).length + state.routes[family].length > 0;
      // A host without IPv6 needs none of it.
      if (hasAny) await this.#batch(family, routeLines(state, family, names, this.#vips, !this.#isComplete));
    }
    const vips = this.#isComplete
      ? this.#vips.length
      : new Set([...this.#vips, ...state.routes[4], ...state.routes[6]]).size;
    return { loop: { interface: names.far, mtu: loopMtu(state, names), vips }, warnings: [] };
  }

  async #makeNat(): Promise<HostStatus> {
    const { natTable } = this.#wishes;
    const nowMs = this.#clock.nowMs();
    const halfLifeMs = ((natTable.timeoutS ?? Number.POSITIVE_INFINITY) * 1000) / 2;
    const isOld = nowMs - this.#refreshedAtMs >= halfLifeMs;
    let count = 0;
    let script = "";
    for (const family of NAT_FAMILIES) {
      const state = await this.#readNat(family);
      const known = this.#isComplete ? [] : [...(state?.vips ?? [])];
      const vips = ofFamily([...this.#vips, ...known], family);
      count += vips.length;
      if (state === undefined && vips.length === 0) continue;
      if (state?.isWhole !== true) script += tableScript(natTable, family, vips);
      else if (isOld || [...state.vips].sort().join() !== vips.join())
        script += addressesScript(natTable, family, vips);
    }
    if (script !== "") {
      await this.#tools.nft(["-f", "-"], script);
      this.#refreshedAtMs = nowMs;
    }
    return { identityNat: { table: natTable.name, vips: count }, warnings: [] };
  }

  /** Of both families. Throws HOST_NFT_FAILED. */
  async removeNat(): Promise<void> {
    const { natTable } = this.#wishes;
    let script = "";
    for (const family of NAT_FAMILIES)
      if ((await this.#readNat(family)) !== undefined) script += removalScript(natTable, family);
    if (script !== "") await this.#tools.nft(["-f", "-"], script);
  }

  async #readNat(family: Family): Promise<NatState | undefined> {
    const { natTable } = this.#wishes;
    try {
      return natStateOf(await this.#tools.nft(tableQuestion(natTable, family)), natTable, family);
    } catch (error) {
      if (error instanceof HoldfastError && NO_SUCH_TABLE.test(error.message)) return undefined;
      throw error;
    }
  }

  async #takeLoopAway(state: LoopState, names: LoopNames): Promise<void> {
    for (const family of NAT_FAMILIES) await this.#batch(family, routeRemovalLines(state, family, names));
    const near = state.links.find(({ ifname }) => ifname === names.near);
    // What somebody has set to something else since is theirs.
    for (const [name, value] of readAlias(near?.ifalias)?.before ?? [])
      if (this.#tools.setting(`net/ipv4/conf/${name}/rp_filter`) === LOOSE)
        this.#tools.set(`net/ipv4/conf/${name}/rp_filter`, value);
    await this.#batch(undefined, [`link delete dev ${names.near}`]);
  }

  /** Interfaces on which the kernel drops what its own routes would send elsewhere. */
  #strictInterfaces(): string[] {
    const setting = (name: string) => this.#tools.setting(`net/ipv4/conf/${name}/rp_filter`) ?? "0";
    const all = Number(setting("all"));
    return this.#wishes
      .servingInterfaces()
      .filter((name) => String(Math.max(all, Number(setting(name)))) === STRICT);
  }

  /** What the alias says was there before, and what is about to be changed. */
  #settingsBefore({ links }: LoopState, { near }: LoopNames): Map<string, string> {
    const before = new Map(readAlias(links.find(({ ifname }) => ifname === near)?.ifalias)?.before);
    if (this.#wishes.rpFilter !== "set") return before;
    for (const name of this.#strictInterfaces())
      if (!before.has(name)) before.set(name, this.#tools.setting(`net/ipv4/conf/${name}/rp_filter`) ?? "0");
    return before;
  }

  async #batch(family: Family | undefined, lines: readonly string[]): Promise<void> {
    if (lines.length === 0) return;
    await this.#tools.ip(
      [...(family === undefined ? [] : [`-${family}`]), "-batch", "-"],
      `${lines.join("\n")}\n`,
    );
  }

  #tell(status: HostStatus): void {
    const before = this.#status;
    this.#status = status;
    for (const { code, message, remedy } of status.warnings)
      if (!before.warnings.some((each) => each.code === code && each.message === message))
        this.#logger.warn({ code, remedy }, message);
    if (before.warnings.length > 0 && status.warnings.length === 0)
      this.#logger.info({}, "the host is prepared as it should be");
    this.onStatus(status);
  }
}

function warningOf(
  code: "HOST_RP_FILTER_STRICT" | "HOST_NOT_FORWARDING",
  details: Record<string, string>,
): HostWarning {
  const { message, remedy } = new HoldfastError(code, details as never);
  return { code, message, remedy };
}
