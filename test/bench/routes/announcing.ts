// A member of which the announcer alone runs: a process with a real speaker, toward routers of the lab.
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Host, Lab } from "@holdfast/testkit";

const PROGRAM = fileURLToPath(
  new URL("../../../packages/announcer/src/bgp/announce-by-line.ts", import.meta.url),
);

interface State {
  readonly routers: readonly {
    readonly name: string;
    readonly session: string;
    readonly bfd?: string;
    readonly flapCount: number;
    readonly sinceWallMs: number;
  }[];
}

interface Changes {
  readonly vips: readonly string[];
  readonly startsMs: readonly number[];
  readonly orderedMs: readonly number[];
}

export class Announcing {
  readonly #write: (text: string) => void;
  #state: State = { routers: [] };
  /** VIP of each decision of an order for changes; empty until all are made. */
  changed: readonly string[] = [];
  /** Wall ms of each decision of an order for changes; empty until all are made. */
  startsMs: readonly number[] = [];
  /** Of each, ms until the speaker had its order. */
  orderedMs: readonly number[] = [];
  isRealtime = true;

  constructor(
    lab: Lab,
    host: Host,
    routers: readonly { readonly name: string; readonly address: string }[],
    bfdIntervalMs: number,
  ) {
    const configuration = {
      ...{ routerId: host.addresses("wire")[0], announce: [], holdDownMs: 0 },
      routers: routers.map((router) => ({
        ...router,
        ...{ as: 65_000, localAs: 65_001, holdS: 30, ttlSecurity: false, ipv6: false },
        ...{ extendedNextHop: false, passive: false, bfd: { intervalMs: bfdIntervalMs, multiplier: 3 } },
      })),
    };
    const directory = join(lab.directory, `${host.name}.bgp`);
    const options = { program: "/usr/sbin/bird", directory, configuration };
    const words = ["--disable-warning=ExperimentalWarning", PROGRAM, JSON.stringify(options)];
    const child = host.spawn(process.execPath, words, { stdio: ["pipe", "pipe", "pipe"] });
    this.#write = (text) => child.stdin?.write(text);
    child.stderr?.on("data", (data) => {
      if (String(data).includes("without real-time priority")) this.isRealtime = false;
    });
    if (child.stdout !== null)
      createInterface({ input: child.stdout }).on("line", (line) => {
        const said = JSON.parse(line) as State | Changes;
        if ("startsMs" in said)
          ({ vips: this.changed, startsMs: this.startsMs, orderedMs: this.orderedMs } = said);
        else this.#state = said;
      });
  }

  /** What packages/announcer/src/bgp/announce-by-line.ts takes. */
  order(value: object): void {
    this.#write(`${JSON.stringify(value)}\n`);
  }

  /** Every session, BFD included. */
  isUp(): boolean {
    const { routers } = this.#state;
    return routers.length > 0 && routers.every((r) => r.session === "Established" && r.bfd === "Up");
  }

  flapsByRouter(): ReadonlyMap<string, number> {
    return new Map(this.#state.routers.map(({ name, flapCount }) => [name, flapCount]));
  }

  /** Changes with every transition of a session or of its BFD. */
  sinces(): string {
    return this.#state.routers.map(({ sinceWallMs }) => sinceWallMs).join();
  }
}
