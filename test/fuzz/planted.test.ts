// The fuzzers find faults that are planted: a harness that cannot fail proves nothing.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { describe, test } from "node:test";
import { seededRandom } from "@holdfast/model";
import { CHUNK, IpHeader, isMalformed, PARAMETER, parametersOf, parsePacket } from "@holdfast/sctp";
import { decodePeerMessage } from "@holdfast/sync/testing";
import { Corpus, packetSeeds } from "./corpus.ts";
import { BlockCoverage } from "./coverage.ts";
import { messageSeeds } from "./run.ts";
import { Finding, runTarget, type Target } from "./target.ts";
import { CodecTarget } from "./targets/codec.ts";
import { MessagesTarget } from "./targets/messages.ts";
import { SlowPathTarget } from "./targets/slow-path.ts";

const run = (target: Target, count: number) => runTarget(target, { count, random: seededRandom(1) });

const finds = (pattern: RegExp) => (error: unknown) =>
  error instanceof Finding && pattern.test(error.message) && error.input.length > 0;

/** A codec that stumbles over an address that no real stack lists. */
class StumblingCodec extends CodecTarget {
  readonly #ip = new IpHeader();

  override check(bytes: Uint8Array): void {
    super.check(bytes);
    if (this.#ip.read(bytes) !== undefined) return;
    const packet = parsePacket(bytes, this.#ip.payloadOffset, this.#ip.end);
    if (isMalformed(packet)) return;
    for (const chunk of packet.chunks) {
      if (chunk.type !== CHUNK.INIT) continue;
      const parameters = parametersOf(chunk);
      if (isMalformed(parameters)) continue;
      for (const { type, offset } of parameters)
        if (type === PARAMETER.IPV4_ADDRESS && bytes[offset + 4] === 0xff) throw new Error("planted");
    }
  }
}

class StumblingMessages extends MessagesTarget {
  override check(bytes: Uint8Array): void {
    super.check(bytes);
    const decoded = decodePeerMessage(bytes);
    if (decoded.ok && decoded.message?.kind === "acknowledge" && decoded.message.held.ticks > 50)
      throw new Error("planted");
  }
}

describe("planted faults", () => {
  test("a parser that trusts an address", () =>
    assert.rejects(
      run(new StumblingCodec(new Corpus("packet", packetSeeds())), 2_000_000),
      finds(/^codec, input \d+: planted\ninput [0-9a-f]+$/),
    ));

  test("a number of a peer's that nobody checks", () =>
    assert.rejects(
      run(new StumblingMessages(new Corpus("message", messageSeeds(seededRandom(1)))), 200_000),
      finds(/^messages, input \d+: planted/),
    ));

  test("an end that is believed without the right tag", () =>
    assert.rejects(
      run(
        new SlowPathTarget(new Corpus("packet", packetSeeds()), (rig, witness) =>
          rig.forwarder.onDrop((reason) => {
            if (reason === "wrong-tag") rig.forwarder.removeSession(witness);
          }),
        ),
        20_000,
      ),
      finds(/the witness has ended/),
    ));

  test("an address that leaks", () =>
    assert.rejects(
      run(
        new SlowPathTarget(new Corpus("packet", packetSeeds()), (rig) => {
          const { fastPath } = rig;
          const send = fastPath.send.bind(fastPath);
          fastPath.send = (packet) => {
            const leaked = packet.slice();
            leaked.set([100, 80, 1, 10], 12);
            return send(leaked);
          };
        }),
        20_000,
      ),
      finds(/a packet left with source 100\.80\.1\.10/),
    ));

  test("guidance keeps the inputs that reached new code, and no others", async () => {
    const corpus = new Corpus("packet", packetSeeds());
    const coverage = new BlockCoverage();
    try {
      const { newBlocks } = await runTarget(new CodecTarget(corpus), {
        count: 3_000,
        random: seededRandom(1),
        coverage,
      });
      assert.ok(newBlocks > 0);
      assert.ok(corpus.foundCount > 0 && corpus.foundCount <= newBlocks, `${corpus.foundCount} inputs`);
    } finally {
      coverage.close();
    }
  });

  for (const [name, code] of [
    ["a loop without an end", "for (;;) {}"],
    ["a promise that nobody keeps", "return new Promise(() => {});"],
  ] as const) {
    test(`${name} is reported by the watching thread, with its input`, () => {
      const script = `
        import { runTarget, Target } from "./target.ts";
        import { Watch } from "./watch.ts";
        class Stuck extends Target {
          name = "stuck";
          #count = 0;
          once() {
            this.last = Uint8Array.of(0xab, this.#count++);
            if (this.#count === 4) { ${code} }
          }
        }
        const watch = new Watch("seed 9", 1_000);
        await runTarget(new Stuck(), { count: 10, random: undefined, watch });
        console.log("ended");`;
      const { stderr, stdout, signal } = spawnSync(
        process.execPath,
        ["--disable-warning=ExperimentalWarning", "--input-type=module-typescript", "-e", script],
        { cwd: import.meta.dirname, encoding: "utf8", timeout: 30_000 },
      );
      assert.equal(signal, "SIGKILL", stderr);
      assert.equal(stdout, "");
      assert.match(stderr, /FOUND \(seed 9\): stuck: no end after 1000 ms\ninput ab03\n/);
    });
  }

  test("an input that takes too much processor time", () => {
    class Slow extends CodecTarget {
      override check(): void {
        const from = process.cpuUsage();
        while (process.cpuUsage(from).user + process.cpuUsage(from).system < 600_000);
      }
    }
    return assert.rejects(
      run(new Slow(new Corpus("packet", packetSeeds())), 3),
      finds(/input 0: \d+ ms of processor time/),
    );
  });
});
