// Programs of another layout take over from pinned ones, on real interfaces: the same C, compiled with other
// fields.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, unlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { silentLogger } from "@holdfast/model";
import { encodeData } from "@holdfast/sctp";
import { libbpf, options } from "../../kernel/libbpf.ts";
import { errnoName, libc } from "../../kernel/libc.ts";
import { compiledWith, OTHER_LAYOUT, OTHER_MEANING, putInForce } from "../../testing/other-layout.ts";
import { labHarness, labObstacle } from "../compliance/lab.ts";
import { hex, type Rig, until } from "../compliance/rig.ts";
import { arriving, downFlow, ENDPOINTS, IPV4, IPV6, LOCAL, leaving, upFlow } from "../compliance/world.ts";
import type { Flow } from "../port.ts";
import { type BpfFastPath, type BpfFastPathOptions, openBpfFastPath } from "./bpf-fast-path.ts";
import { clearPins } from "./bpffs.ts";
import { type DataPlane, loadDataPlane } from "./data-plane.ts";
import { layoutHash, layoutsFrom, MAP_TYPE, sizeOf } from "./layout/layout.ts";
import { LAYOUT_1 } from "./layout/layout-1.ts";

const obstacle = labObstacle();
/** struct bpf_map_create_opts. */
const MAP_OPTIONS_SIZE = 56;
const MAP_OPTIONS_FLAGS = 28;
const pinDirectory = `/sys/fs/bpf/holdfast-pins-${process.pid}`;
const interfaces = ["hfclient", "hfcore"];
const SIZES = { flowCountMax: 4096, puntRingBytes: 1 << 18 };
const objects = mkdtempSync(join(tmpdir(), "holdfast-pins-"));
after(() => rmSync(objects, { recursive: true, force: true }));

const otherLayout = () => compiledWith(OTHER_LAYOUT, objects);
const otherMeaning = () => compiledWith(OTHER_MEANING, objects);

function open(options: Partial<BpfFastPathOptions> = {}): Promise<BpfFastPath> {
  const { flowCountMax, puntRingBytes: ringBytes } = SIZES;
  return openBpfFastPath({ mode: "tc", interfaces, pinDirectory, flowCountMax, ringBytes, ...options });
}

const load = (objectFile: string): DataPlane =>
  loadDataPlane({ ...SIZES, pinDirectory, objectFile, log: silentLogger });

const attach = (plane: DataPlane, between?: () => void) => putInForce(plane, interfaces, between);

/** What the daemon's unit may see: a process without CAP_SYS_ADMIN. */
function layoutSeenUnprivileged(): string {
  const module = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);
  const program = `
    import { libbpf } from ${module("../../kernel/libbpf.ts")};
    import { layoutHash } from ${module("./layout/layout.ts")};
    import { DESCRIPTION_MAP, pinnedLayouts } from ${module("./layout/pinned.ts")};
    import { pinnedNames } from ${module("./bpffs.ts")};
    const directory = ${JSON.stringify(join(pinDirectory, "maps"))};
    const names = pinnedNames(directory).filter((name) => name !== DESCRIPTION_MAP);
    const found = pinnedLayouts(directory, new Map(names.map((name) => [name, libbpf().get(directory + "/" + name)])));
    console.log("layouts" in found ? "known " + layoutHash(found.layouts) : found.reason);`;
  return execFileSync("setpriv", [
    ...["--inh-caps=-sys_admin", "--bounding-set=-sys_admin"],
    ...[process.execPath, "--disable-warning=ExperimentalWarning", "--input-type=module", "-e", program],
  ]).toString();
}

/** Maps as a daemon from before descriptions pinned them, and nothing in them. */
function pinLayout1(): void {
  const directory = join(pinDirectory, "maps");
  mkdirSync(directory, { recursive: true });
  for (const [name, { type, flags, entries, key, value }] of layoutsFrom(LAYOUT_1)) {
    const isRing = type === MAP_TYPE.RINGBUF;
    const settings = options(MAP_OPTIONS_SIZE);
    settings.writeUInt32LE(flags, MAP_OPTIONS_FLAGS);
    const [keySize, valueSize] = isRing ? [0, 0] : [sizeOf(key), sizeOf(value)];
    const fd = libbpf().mapCreate(type, name, keySize, valueSize, entries ?? 4096, settings);
    assert.ok(fd >= 0, `${name}: ${errnoName(fd)}`);
    assert.equal(libbpf().pin(fd, join(directory, name)), 0, name);
    libc().close(fd);
  }
}

const data = encodeData({ tsn: 7, data: new Uint8Array(40).fill(0x61) });
const flows: readonly Flow[] = [IPV4, IPV6].flatMap((family) => [upFlow(family), downFlow(family)]);

/** Traffic of four flows: what was sent, and that each packet came out as it must. */
class Traffic {
  readonly #rig: Rig;
  #rounds = 0;

  constructor(rig: Rig) {
    this.#rig = rig;
  }

  get rounds(): number {
    return this.#rounds;
  }

  send(): void {
    this.#rounds++;
    for (const flow of flows)
      this.#rig.inject(flow.direction === "up" ? "client" : "core", arriving(flow, [data]));
  }

  async arrived(): Promise<void> {
    for (const flow of flows) {
      const expected = hex(leaving(flow, [data]));
      const side = flow.direction === "up" ? "core" : "client";
      const count = () => this.#rig.received(side).filter((packet) => hex(packet) === expected).length;
      await until(`${this.#rounds} packets ${flow.direction}`, () => count() === this.#rounds);
    }
  }
}

async function withFlows(body: (traffic: Traffic) => Promise<void>): Promise<void> {
  const rig = await labHarness(() => open()).open({});
  const first = rig.fastPath as BpfFastPath;
  try {
    first.setLocal(LOCAL);
    first.setEndpoints(ENDPOINTS);
    first.signOfLife();
    for (const flow of flows) assert.ok(first.install(flow));
    const traffic = new Traffic(rig);
    traffic.send();
    await traffic.arrived();
    await first.detach();
    await body(traffic);
  } finally {
    // What the body did not take away hangs on links below; interfaces go with the rig.
    clearPins(pinDirectory);
    await rig.close();
    rmSync(pinDirectory, { recursive: true, force: true });
  }
}

/** The next daemon of this build: it has all flows, with the packets they counted. */
async function adoptedBy(next: BpfFastPath, traffic: Traffic): Promise<void> {
  assert.equal(next.adopted, true);
  assert.deepEqual(readdirSync(pinDirectory).sort(), ["links", "maps"]);
  traffic.send();
  await traffic.arrived();
  for (const flow of flows) assert.equal(next.counters(flow.key)?.packets, traffic.rounds);
  await next.uninstall();
}

describe("pinned maps of another layout", { skip: obstacle ?? false }, () => {
  test("flows are moved there and back while packets go on, and none is lost", async () => {
    await withFlows(async (traffic) => {
      const plane = load(otherLayout());
      assert.equal(plane.adopted, true);
      traffic.send();
      await traffic.arrived();
      // Both layouts' maps are pinned, and the new programs are at work.
      attach(plane, () => traffic.send());
      await traffic.arrived();
      traffic.send();
      await traffic.arrived();
      const next = await open();
      assert.equal(next.adopted, true);
      traffic.send();
      await traffic.arrived();
      for (const flow of flows) {
        // What the old programs counted after the copy is not in the new maps: one round.
        const { packets } = next.counters(flow.key) ?? { packets: 0 };
        assert.ok(
          packets >= traffic.rounds - 1 && packets <= traffic.rounds,
          `${packets} of ${traffic.rounds}`,
        );
      }
      await next.uninstall();
      assert.equal(existsSync(pinDirectory), false);
    });
  });

  test("a move that dies before its programs are attached leaves what was", async () => {
    await withFlows(async (traffic) => {
      load(otherLayout()).close();
      assert.deepEqual(readdirSync(pinDirectory).sort(), ["links", "maps", "next"]);
      await adoptedBy(await open(), traffic);
    });
  });

  test("a move that dies while it puts its maps in force is finished by the next start", async () => {
    await withFlows(async (traffic) => {
      const plane = load(otherLayout());
      attach({ ...plane, settle: () => renameSync(join(pinDirectory, "maps"), join(pinDirectory, "old")) });
      traffic.send();
      await traffic.arrived();
      await adoptedBy(await open(), traffic);
    });
  });

  test("maps without a description are known by the BTF that the kernel has of them", async () => {
    await withFlows(async (traffic) => {
      attach(load(otherLayout()));
      unlinkSync(join(pinDirectory, "maps", "hf_layout"));
      await adoptedBy(await open(), traffic);
    });
  });

  test("without CAP_SYS_ADMIN only the layout of the number 1 is known of maps without a description", async () => {
    await withFlows(async (traffic) => {
      assert.match(layoutSeenUnprivileged(), /^known [0-9a-f]{16}\n$/);
      unlinkSync(join(pinDirectory, "maps", "hf_layout"));
      assert.match(layoutSeenUnprivileged(), /its BTF is not for us: EPERM/);
      attach(load(otherLayout()));
      assert.match(layoutSeenUnprivileged(), /^known [0-9a-f]{16}\n$/);
      unlinkSync(join(pinDirectory, "maps", "hf_layout"));
      assert.match(layoutSeenUnprivileged(), /its BTF is not for us: EPERM/);
      await adoptedBy(await open(), traffic);
    });
    pinLayout1();
    try {
      assert.equal(layoutSeenUnprivileged(), `known ${layoutHash(layoutsFrom(LAYOUT_1))}\n`);
    } finally {
      clearPins(pinDirectory);
      rmSync(pinDirectory, { recursive: true, force: true });
    }
  });

  test("maps that were not described are, from then on", async () => {
    await withFlows(async (traffic) => {
      unlinkSync(join(pinDirectory, "maps", "hf_layout"));
      const next = await open();
      assert.ok(readdirSync(join(pinDirectory, "maps")).includes("hf_layout"));
      await adoptedBy(next, traffic);
    });
  });

  test("what cannot be carried over is an error that names it, packets go on, and the operator decides", async () => {
    await withFlows(async (traffic) => {
      attach(load(otherLayout()));
      const refused = { code: "BPF_FLOWS_NOT_CARRIED", message: /hf_flows4 value\.port_delta is gone/ };
      assert.throws(() => load(otherMeaning()), refused);
      traffic.send();
      await traffic.arrived();
      await assert.rejects(open({ objectFile: otherMeaning() }), refused);
      traffic.send();
      await traffic.arrived();
      const next = await open({ objectFile: otherMeaning(), discardFlows: true });
      assert.equal(next.adopted, false);
      assert.equal(next.counters((flows[0] as Flow).key), undefined);
      assert.deepEqual(readdirSync(pinDirectory).sort(), ["links", "maps"]);
      await next.uninstall();
    });
  });
});
