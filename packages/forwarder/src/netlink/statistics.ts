// Counters of links in messages of rtnetlink: struct rtnl_link_stats64.

const RECEIVE_DROPPED = 6;
const TRANSMIT_DROPPED = 7;

/** Packets that a device dropped by itself. */
export function dropsOf(statistics: Buffer | undefined): {
  readonly receiveDrops: number;
  readonly transmitDrops: number;
} {
  const counter = (index: number) =>
    statistics === undefined || statistics.length < 8 * (index + 1)
      ? 0
      : Number(statistics.readBigUInt64LE(8 * index));
  return { receiveDrops: counter(RECEIVE_DROPPED), transmitDrops: counter(TRANSMIT_DROPPED) };
}
