// Whether the list gives this member addresses that it has. One that was added with somebody else's is connected,
// since it dials, and heard by nobody, since probes go elsewhere: it would take the others for dead and announce
// every VIP beside them.
import type { Members } from "@holdfast/model";
import type { OwnMember } from "../config/check.ts";
import type { NetworkWatch } from "../network/watch.ts";
import type { Readiness } from "../readiness.ts";

const CHECK = "addresses";

export interface OwnAddressesOptions {
  readonly own: Pick<OwnMember, "name">;
  readonly members: Members;
  readonly network: Pick<NetworkWatch, "hostAddresses" | "onChange">;
  readonly readiness: Pick<Readiness, "set" | "advise">;
  /** It has yet to be put on a list, by somebody who may be wrong. */
  readonly isJoining: boolean;
}

/**
 * Who joins is not ready before it has had one of its addresses. Who has had one, or began with a list, goes on
 * when it loses them all: a dead network of the cluster must not end what the others carry. Gives back what ends
 * it.
 */
export function watchOwnAddresses(options: OwnAddressesOptions): () => void {
  const { own, members, network, readiness } = options;
  let isNew = options.isJoining;
  if (isNew) readiness.set(CHECK, false, "this member is on no list yet");
  const look = () => {
    const list = members.current().members;
    const listed = list.find(({ name }) => name === own.name)?.addresses.map(({ address }) => address);
    if (listed === undefined || listed.length === 0 || list.length < 2) return;
    const has = new Set(network.hostAddresses().map(({ address }) => address));
    if (listed.some((address) => has.has(address))) {
      isNew = false;
      readiness.set(CHECK, true, "this member has addresses that the list gives it");
      return;
    }
    const detail = `no interface has an address that the list gives ${own.name} (${listed.join(", ")}): nobody hears it; give one of them to an interface, or remove it and add it under another name`;
    if (isNew) readiness.set(CHECK, false, detail);
    else readiness.advise(CHECK, false, detail);
  };
  look();
  const closers = [members.subscribe(look), network.onChange(look)];
  return () => {
    for (const close of closers) close();
  };
}
