// What devices can do with XDP, as they say themselves: generic netlink's family "netdev", Linux 6.3 on.
import { attribute, attributesOf, textOf } from "./messages.ts";
import { NETLINK_GENERIC, NetlinkEvents, NetlinkRequests } from "./socket.ts";

const CONTROL_FAMILY = 0x10;
const CONTROL_GET_FAMILY = 3;
const CONTROL_ATTRIBUTE = { FAMILY_ID: 1, FAMILY_NAME: 2, GROUPS: 7 } as const;
const GROUP_ATTRIBUTE = { NAME: 1, ID: 2 } as const;
/** struct genlmsghdr: command, version, two bytes of nothing. */
const HEADER_SIZE = 4;
const DEVICE_GET = 1;
const DEVICE_ATTRIBUTE = { IFINDEX: 1, XDP_FEATURES: 3 } as const;
/** enum netdev_xdp_act: frames that XDP redirects are taken. */
const XDP_NDO_TRANSMIT = 4n;

export class DeviceFeatures {
  readonly #requests: NetlinkRequests;
  readonly #family: number;
  readonly #group: number | undefined;
  #events: NetlinkEvents | undefined;

  /** undefined: this kernel does not tell. Throws NETLINK_REFUSED. */
  static open(): DeviceFeatures | undefined {
    const requests = new NetlinkRequests(NETLINK_GENERIC);
    const found = familyOf(requests, "netdev", "mgmt");
    if (found !== undefined) return new DeviceFeatures(requests, found.family, found.group);
    requests.close();
    return undefined;
  }

  private constructor(requests: NetlinkRequests, family: number, group: number | undefined) {
    this.#requests = requests;
    this.#family = family;
    this.#group = group;
  }

  /** Whether the device takes what XDP redirects to it; undefined: there is no such device. */
  takesRedirected(interfaceIndex: number): boolean | undefined {
    const index = Buffer.alloc(4);
    index.writeUInt32LE(interfaceIndex);
    const body = Buffer.concat([header(DEVICE_GET), attribute(DEVICE_ATTRIBUTE.IFINDEX, index)]);
    const [answer] = this.#requests.ask(this.#family, 0, body);
    return answer && stateOf(answer.body)?.takesRedirected;
  }

  /** Hears of devices whose features have changed, by index. Once only. */
  follow(listener: (interfaceIndex: number) => void): void {
    if (this.#group === undefined) return;
    this.#events = new NetlinkEvents(NETLINK_GENERIC, [this.#group], (message) => {
      const state = message && stateOf(message.body);
      if (state !== undefined) listener(state.interfaceIndex);
    });
  }

  close(): void {
    this.#requests.close();
    this.#events?.close();
    this.#events = undefined;
  }
}

function stateOf(body: Buffer): { interfaceIndex: number; takesRedirected: boolean } | undefined {
  const attributes = attributesOf(body, HEADER_SIZE);
  const index = attributes.get(DEVICE_ATTRIBUTE.IFINDEX);
  const features = attributes.get(DEVICE_ATTRIBUTE.XDP_FEATURES);
  if (index?.length !== 4 || features?.length !== 8) return undefined;
  return {
    interfaceIndex: index.readUInt32LE(),
    takesRedirected: (features.readBigUInt64LE() & XDP_NDO_TRANSMIT) !== 0n,
  };
}

function familyOf(
  requests: NetlinkRequests,
  name: string,
  groupName: string,
): { family: number; group: number | undefined } | undefined {
  const question = attribute(CONTROL_ATTRIBUTE.FAMILY_NAME, Buffer.from(`${name}\0`, "latin1"));
  const [answer] = requests.ask(CONTROL_FAMILY, 0, Buffer.concat([header(CONTROL_GET_FAMILY), question]));
  const attributes = answer && attributesOf(answer.body, HEADER_SIZE);
  const family = attributes?.get(CONTROL_ATTRIBUTE.FAMILY_ID)?.readUInt16LE();
  if (family === undefined) return undefined;
  const groups = attributes?.get(CONTROL_ATTRIBUTE.GROUPS);
  for (const nested of groups === undefined ? [] : attributesOf(groups, 0).values()) {
    const group = attributesOf(nested, 0);
    if (textOf(group.get(GROUP_ATTRIBUTE.NAME)) === groupName)
      return { family, group: group.get(GROUP_ATTRIBUTE.ID)?.readUInt32LE() };
  }
  return { family, group: undefined };
}

function header(command: number): Buffer {
  const bytes = Buffer.alloc(HEADER_SIZE);
  bytes[0] = command;
  bytes[1] = 1;
  return bytes;
}
