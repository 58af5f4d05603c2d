// What every announcer promises. l2 and none pass it; so will bgp.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { Address } from "@holdfast/model";
import { ANNOUNCED_VIP_COUNT_MAX, type Announcer, type AnnouncerKind } from "./announcer.ts";

/** An announcer on a clock and a network that the suite controls. */
export interface ComplianceSubject {
  readonly announcer: Announcer;
  readonly kind: AnnouncerKind;
  /** Lets simulated time pass, timers included. */
  elapse(ms: number): void;
  /** How many messages that lead traffic of `vip` here the network has heard so far; undefined: sends none, ever. */
  heard(vip: Address): number | undefined;
  /** true when something is still held (sockets, sessions) that `stop` should have released. */
  isHolding(): boolean;
}

const VIPS: readonly Address[] = ["203.0.113.1", "2001:db8:113::1"];
/** Longer than every burst and its repeats. */
const LONG_MS = 120_000;

export function announcerCompliance(name: string, make: () => ComplianceSubject): void {
  suite(`announcer compliance: ${name}`, () => {
    test("it starts with nothing announced and says its kind", async () => {
      const { announcer, kind } = make();
      assert.equal(announcer.kind, kind);
      assert.deepEqual(announcer.announced(), []);
      await announcer.stop();
    });

    for (const vip of VIPS) {
      test(`${vip}: announcing leads traffic here before the call returns`, async () => {
        const { announcer, heard } = make();
        announcer.announce(vip);
        assert.deepEqual(
          announcer.announced().map((announced) => announced.vip),
          [vip],
        );
        assert(heard(vip) !== 0);
        await announcer.stop();
      });

      test(`${vip}: an announcement is repeated without being asked`, async () => {
        const { announcer, heard, elapse } = make();
        announcer.announce(vip);
        const first = heard(vip);
        elapse(LONG_MS);
        const later = heard(vip);
        assert(first === undefined ? later === undefined : later !== undefined && later > first);
        await announcer.stop();
      });

      test(`${vip}: announcing twice is one announcement with its first date, made anew`, async () => {
        const { announcer, heard, elapse } = make();
        announcer.announce(vip);
        const since = announcer.announced()[0]?.sinceMs;
        elapse(LONG_MS);
        const before = heard(vip);
        announcer.announce(vip);
        assert.equal(announcer.announced().length, 1);
        assert.equal(announcer.announced()[0]?.sinceMs, since);
        const after = heard(vip);
        assert(before === undefined ? after === undefined : after !== undefined && after > before);
        await announcer.stop();
      });

      test(`${vip}: nothing is sent for it once it is withdrawn`, async () => {
        const { announcer, heard, elapse } = make();
        announcer.announce(vip);
        elapse(40);
        announcer.withdraw(vip);
        assert.deepEqual(announcer.announced(), []);
        const before = heard(vip);
        elapse(LONG_MS);
        assert.equal(heard(vip), before);
        await announcer.stop();
      });
    }

    test("withdrawing one VIP leaves the others alone", async () => {
      const { announcer, heard, elapse } = make();
      const [kept, gone] = VIPS as [Address, Address];
      announcer.announce(kept);
      announcer.announce(gone);
      announcer.withdraw(gone);
      announcer.withdraw("203.0.113.99");
      const before = heard(kept);
      elapse(LONG_MS);
      const after = heard(kept);
      assert.deepEqual(
        announcer.announced().map(({ vip }) => vip),
        [kept],
      );
      assert(before === undefined || (after !== undefined && after > before));
      await announcer.stop();
    });

    test("a withdrawn VIP can be announced again", async () => {
      const { announcer, heard, elapse } = make();
      const [vip] = VIPS as [Address];
      announcer.announce(vip);
      announcer.withdraw(vip);
      elapse(1_000);
      const before = heard(vip);
      announcer.announce(vip);
      const after = heard(vip);
      assert.equal(announcer.announced().length, 1);
      assert(before === undefined || (after !== undefined && after > before));
      await announcer.stop();
    });

    test("stopping withdraws everything, releases what it holds, and is final", async () => {
      const { announcer, heard, elapse, isHolding } = make();
      for (const vip of VIPS) announcer.announce(vip);
      await announcer.stop();
      assert.deepEqual(announcer.announced(), []);
      assert.equal(isHolding(), false);
      const before = VIPS.map((vip) => heard(vip));
      elapse(LONG_MS);
      announcer.announce(VIPS[0] as Address);
      announcer.withdraw(VIPS[1] as Address);
      assert.deepEqual(announcer.announced(), []);
      assert.deepEqual(
        VIPS.map((vip) => heard(vip)),
        before,
      );
      await announcer.stop();
    });

    test(`no more than ${ANNOUNCED_VIP_COUNT_MAX} VIPs are announced; the first stay`, async () => {
      const { announcer } = make();
      for (let i = 0; i <= ANNOUNCED_VIP_COUNT_MAX; i++) announcer.announce(`10.0.${i >> 8}.${i & 0xff}`);
      assert.equal(announcer.announced().length, ANNOUNCED_VIP_COUNT_MAX);
      assert.equal(announcer.announced()[0]?.vip, "10.0.0.0");
      await announcer.stop();
    });
  });
}
