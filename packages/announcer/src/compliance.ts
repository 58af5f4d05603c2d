// What every announcer promises. l2, bgp and none pass it; what is l2's alone stands in announcer.test.ts.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { Address } from "@holdfast/model";
import {
  ANNOUNCED_VIP_COUNT_MAX,
  type AnnouncedRank,
  type Announcement,
  type Announcer,
  type AnnouncerKind,
} from "./announcer.ts";

/** An announcer on a clock and a network that the suite controls. */
export interface ComplianceSubject {
  readonly announcer: Announcer;
  readonly kind: AnnouncerKind;
  /** Lets simulated time pass, timers included. */
  elapse(ms: number): void;
  /** The rank at which the network would lead traffic of `vip` here now; undefined: it does not. `none`: always undefined. */
  leads(vip: Address): AnnouncedRank | undefined;
  /** Ranks beside 0 reach the network: routers hold the successors' routes. */
  readonly ranked: boolean;
  /** The announcements reach nobody at all; `leads` says nothing. */
  readonly mute: boolean;
  /** true when something is still held (sockets, sessions) that `stop` should have released. */
  isHolding(): boolean;
}

const VIPS = ["203.0.113.1", "2001:db8:113::1"] as const;
/** Longer than every burst and its repeats. */
const LONG_MS = 120_000;

const owned = (vip: Address): Announcement => ({ vip, rank: 0 });

export function announcerCompliance(name: string, make: () => ComplianceSubject): void {
  suite(`announcer compliance: ${name}`, () => {
    const vipsOf = (announcer: Announcer) => announcer.announced().map(({ vip }) => vip);
    const expectLeads = (subject: ComplianceSubject, vip: Address, rank: AnnouncedRank | undefined) =>
      assert.equal(subject.leads(vip), subject.mute ? undefined : rank);

    test("it starts with nothing announced and says its kind", async () => {
      const { announcer, kind } = make();
      assert.equal(announcer.kind, kind);
      assert.deepEqual(announcer.announced(), []);
      await announcer.stop();
    });

    for (const vip of VIPS) {
      test(`${vip}: announcing leads traffic here once the promise resolves`, async () => {
        const subject = make();
        await subject.announcer.announce([owned(vip)]);
        assert.deepEqual(vipsOf(subject.announcer), [vip]);
        expectLeads(subject, vip, 0);
        await subject.announcer.stop();
      });

      test(`${vip}: an announcement lasts without being asked for again`, async () => {
        const subject = make();
        await subject.announcer.announce([owned(vip)]);
        subject.elapse(LONG_MS);
        expectLeads(subject, vip, 0);
        await subject.announcer.stop();
      });

      test(`${vip}: announcing the same again keeps its first date`, async () => {
        const { announcer, elapse } = make();
        await announcer.announce([owned(vip)]);
        const since = announcer.announced()[0]?.sinceMs;
        assert(since !== undefined);
        elapse(LONG_MS);
        await announcer.announce([owned(vip)]);
        announcer.renew(vip);
        assert.deepEqual(
          announcer.announced().map(({ sinceMs }) => sinceMs),
          [since],
        );
        await announcer.stop();
      });

      test(`${vip}: what is not named any more is withdrawn`, async () => {
        const subject = make();
        await subject.announcer.announce([owned(vip)]);
        subject.elapse(40);
        await subject.announcer.announce([]);
        assert.deepEqual(subject.announcer.announced(), []);
        subject.elapse(LONG_MS);
        expectLeads(subject, vip, undefined);
        await subject.announcer.stop();
      });

      test(`${vip}: a successor's rank reaches those who can hold it, and nobody else`, async () => {
        const subject = make();
        await subject.announcer.announce([{ vip, rank: 1 }]);
        expectLeads(subject, vip, subject.ranked ? 1 : undefined);
        await subject.announcer.announce([owned(vip)]);
        expectLeads(subject, vip, 0);
        await subject.announcer.announce([{ vip, rank: "leaving" }]);
        // Neighbours' caches forget when nobody repeats it.
        subject.elapse(LONG_MS);
        expectLeads(subject, vip, subject.ranked ? "leaving" : undefined);
        await subject.announcer.stop();
      });
    }

    test("withdrawing one VIP leaves the others alone; renewing a stranger is no mistake", async () => {
      const subject = make();
      const [kept, gone] = VIPS;
      await subject.announcer.announce([owned(kept), owned(gone)]);
      await subject.announcer.announce([owned(kept)]);
      subject.announcer.renew("203.0.113.99");
      subject.elapse(LONG_MS);
      assert.deepEqual(vipsOf(subject.announcer), [kept]);
      expectLeads(subject, kept, 0);
      expectLeads(subject, gone, undefined);
      await subject.announcer.stop();
    });

    test("a withdrawn VIP can be announced again", async () => {
      const subject = make();
      const [vip] = VIPS;
      await subject.announcer.announce([owned(vip)]);
      await subject.announcer.announce([]);
      subject.elapse(1_000);
      await subject.announcer.announce([owned(vip)]);
      assert.deepEqual(vipsOf(subject.announcer), [vip]);
      expectLeads(subject, vip, 0);
      await subject.announcer.stop();
    });

    test("stopping withdraws everything, releases what it holds, and is final", async () => {
      const subject = make();
      await subject.announcer.announce(VIPS.map(owned));
      await subject.announcer.stop();
      assert.deepEqual(subject.announcer.announced(), []);
      assert.equal(subject.isHolding(), false);
      subject.elapse(LONG_MS);
      await subject.announcer.announce([owned(VIPS[0])]);
      subject.announcer.renew(VIPS[1]);
      assert.deepEqual(subject.announcer.announced(), []);
      for (const vip of VIPS) assert.equal(subject.leads(vip), undefined);
      await subject.announcer.stop();
    });

    test(`no more than ${ANNOUNCED_VIP_COUNT_MAX} VIPs are announced; the first stay`, async () => {
      const { announcer } = make();
      await announcer.announce(
        Array.from({ length: ANNOUNCED_VIP_COUNT_MAX + 1 }, (_, i) => owned(`10.0.${i >> 8}.${i & 0xff}`)),
      );
      assert.equal(announcer.announced().length, ANNOUNCED_VIP_COUNT_MAX);
      assert.equal(announcer.announced()[0]?.vip, "10.0.0.0");
      await announcer.stop();
    });
  });
}
