import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { decodeHello, type Hello } from "../wire/hello.ts";
import { type Credentials, secretCredentials } from "./credentials.ts";
import { Keyring } from "./keyring.ts";

const CLUSTER_KEY = new Uint8Array(32).fill(9);
const SECRET = new Uint8Array(32).fill(3);
const NETWORK = 1;

class Member {
  readonly number: number;
  readonly ring: Keyring;
  nowMs = 0;

  constructor(number: number, boot = number + 1, credentials = secretCredentials(SECRET, number)) {
    this.number = number;
    this.ring = new Keyring({
      self: number,
      boot,
      others: [0, 1, 2].filter((n) => n !== number),
      credentials,
    });
  }

  hello(to: Member): Hello {
    return read(this.ring.hello(to.number)?.(CLUSTER_KEY, NETWORK));
  }

  take(hello: Hello) {
    this.nowMs += 1_000;
    return this.ring.take(hello, this.nowMs);
  }

  idFor(other: Member): number | undefined {
    return this.ring.sealingKey(other.number)?.id;
  }
}

function read(bytes: Uint8Array | undefined): Hello {
  assert.ok(bytes !== undefined);
  const hello = decodeHello(bytes);
  assert.ok(hello !== undefined);
  return hello;
}

/** Hellos go to and fro until nobody has anything to say. */
function meet(a: Member, b: Member): void {
  const queue: [to: Member, hello: Hello][] = [[b, a.hello(b)]];
  for (let i = 0; queue.length > 0; i++) {
    assert.ok(i < 10, "they greet each other without end");
    const [to, hello] = queue.shift() as [Member, Hello];
    const from = to === a ? b : a;
    const outcome = to.take(hello);
    assert.equal(outcome.kind, "taken", JSON.stringify(outcome));
    if (outcome.kind === "taken" && outcome.reply) queue.push([from, to.hello(from)]);
    // What is sealed with the key shows that it is held.
    const id = to.idFor(from);
    if (outcome.kind === "taken" && outcome.keyed && id !== undefined) from.ring.heard(to.number, id);
  }
  for (const [x, y] of [
    [a, b],
    [b, a],
  ] as const) {
    const id = y.idFor(x);
    assert.ok(id !== undefined);
    x.ring.heard(y.number, id);
  }
}

suite("keys of the probes", () => {
  test("two members come to one key that a third does not have, in three hellos", () => {
    const [a, b, c] = [new Member(0), new Member(1), new Member(2)];
    meet(a, b);
    meet(b, c);
    const id = a.idFor(b) as number;
    assert.equal(id, b.idFor(a));
    assert.deepEqual(a.ring.keyOf(1, id), b.ring.keyOf(0, id));
    assert.notEqual(id, b.idFor(c));
    assert.equal(c.ring.keyOf(0, id), undefined);
    assert.equal(b.ring.keyOf(2, id), undefined, "the key is the sender's: nobody else may use it");
    assert.equal(a.ring.needsHello(1), false);
  });

  test("a hello of an earlier boot, of another pair, or one that is played again is not believed", () => {
    const [a, b] = [new Member(0), new Member(1)];
    const heard: Hello[] = [a.hello(b)];
    meet(a, b);
    heard.push(a.hello(b));
    const id = b.idFor(a);
    const again = new Member(0, 77);
    meet(again, b);
    assert.notEqual(b.idFor(again), id);
    const now = b.idFor(again);
    for (const hello of heard) {
      const outcome = b.take(hello);
      assert.ok(outcome.kind === "taken" && !outcome.keyed);
    }
    assert.equal(b.idFor(again), now);
    const outcome = new Member(2).take(heard[0] as Hello);
    assert.deepEqual(outcome, { kind: "refused", refusal: "otherReceiver" });
  });

  test("who has the cluster's secret but not a member's credentials is nobody", () => {
    const b = new Member(1);
    const stranger = new Member(0, 5, secretCredentials(new Uint8Array(32), 0));
    const outcome = b.take(stranger.hello(b));
    assert.ok(outcome.kind === "refused" && outcome.refusal === "credentials", JSON.stringify(outcome));
    // A true member in another's name.
    const liar = new Member(0, 5, secretCredentials(SECRET, 2));
    const lie = b.take(liar.hello(b));
    assert.ok(lie.kind === "refused" && lie.refusal === "credentials" && lie.reason === "it is number 2's");
    // What is signed cannot be changed.
    const honest = new Member(0).hello(b);
    for (const change of ["nonce", "publicKey", "shown"] as const) {
      const bytes = honest[change].slice();
      bytes[0] = (bytes[0] as number) ^ 1;
      const spoiled = b.take({ ...honest, signed: Buffer.concat([honest.signed, bytes]) });
      assert.equal(spoiled.kind, "refused", change);
    }
  });

  test("a hello that was believed lends its signature to no other; the same again, later, is answered again", () => {
    const [a, b] = [new Member(0), new Member(1)];
    const hello = a.hello(b);
    const first = b.take(hello);
    assert.ok(first.kind === "taken" && first.reply);
    for (const field of ["nonce", "echoNonce", "publicKey", "shown"] as const) {
      const changed = hello[field].slice();
      changed[0] = (changed[0] as number) ^ 1;
      // As it would be read from a datagram: what is signed has changed with it.
      const at = Buffer.from(hello.signed).lastIndexOf(Buffer.from(hello[field]));
      const signed = hello.signed.slice();
      signed.set(changed, at);
      assert.equal(b.take({ ...hello, [field]: changed, signed }).kind, "refused", field);
    }
    assert.equal(b.idFor(a), undefined);
    // The answer was lost.
    const again = b.take(a.hello(b));
    assert.ok(again.kind === "taken" && again.reply);
  });

  test("a new certificate: both keys are good until the new one was heard, and none is missing meanwhile", () => {
    const [a, b] = [new Member(0), new Member(1)];
    meet(a, b);
    const old = a.idFor(b) as number;
    a.ring.renew(secretCredentials(SECRET, 0));
    assert.equal(a.idFor(b), old);
    assert.ok(a.ring.needsHello(1));
    // b believes the new hello, and a may still use the old key.
    const outcome = b.take(a.hello(b));
    assert.ok(outcome.kind === "taken" && outcome.keyed && outcome.reply);
    assert.notEqual(b.idFor(a), old);
    assert.ok(b.ring.keyOf(0, old) !== undefined && b.ring.keyOf(0, b.idFor(a) as number) !== undefined);
    const back = a.take(b.hello(a));
    assert.ok(back.kind === "taken" && back.keyed);
    assert.equal(a.idFor(b), b.idFor(a));
    assert.ok(a.ring.keyOf(1, old) !== undefined);
    a.ring.heard(1, a.idFor(b) as number);
    b.ring.heard(0, b.idFor(a) as number);
    assert.equal(a.ring.keyOf(1, old), undefined);
    assert.equal(b.ring.keyOf(0, old), undefined);
  });

  test("who is revoked loses its key at once, and is believed no longer", () => {
    const revoked = new Set<string>();
    const of = (number: number): Credentials => {
      const inner = secretCredentials(SECRET, number);
      const isRevoked = (shown: Uint8Array) => revoked.has(shown.join());
      return {
        ...inner,
        isRevoked,
        revoke: (list) => {
          for (const shown of list as string[]) revoked.add(shown);
        },
        verify: (shown, bytes, signature) =>
          isRevoked(shown)
            ? { ok: false, reason: "revoked", revoked: true }
            : inner.verify(shown, bytes, signature),
      };
    };
    const [a, b] = [new Member(0, 1, of(0)), new Member(1, 2, of(1))];
    meet(a, b);
    const id = a.idFor(b) as number;
    assert.deepEqual(a.ring.revoke([[0, 1].join()]), [1]);
    assert.equal(a.ring.keyOf(1, id), undefined);
    assert.equal(a.idFor(b), undefined);
    const outcome = a.take(b.hello(a));
    assert.ok(outcome.kind === "refused" && outcome.refusal === "revoked");
  });

  test("signatures are looked at at a bounded rate, and copies over other networks not at all", () => {
    const b = new Member(1);
    let looked = 0;
    const inner = secretCredentials(SECRET, 1);
    const counting = new Member(1, 2, {
      ...inner,
      verify: (...of) => {
        looked++;
        return inner.verify(...of);
      },
    });
    const a = new Member(0);
    const hello = a.hello(b);
    for (let i = 0; i < 5; i++) counting.ring.take(hello, 0);
    assert.equal(looked, 1);
    // Copies of two that overtake each other are answered once each, or they would be answered for ever.
    a.ring.renew(secretCredentials(SECRET, 0));
    const second = a.hello(b);
    for (let i = 0; i < 5; i++) {
      const outcomes = [hello, second].map((copy) => counting.ring.take(copy, 0));
      for (const outcome of outcomes)
        assert.ok(outcome.kind === "taken" && outcome.reply === (i === 0 && outcome === outcomes[1]));
    }
    assert.equal(looked, 2);
    for (let i = 0; i < 50; i++) {
      a.ring.renew(secretCredentials(SECRET, 0));
      counting.ring.take(a.hello(b), 0);
    }
    assert.ok(looked < 10, `${looked}`);
  });
});
