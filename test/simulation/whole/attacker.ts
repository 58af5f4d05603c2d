// A host on the clients' segment that forges packets in their names, and floods the cluster with INITs of strangers.
import type { Address, Random } from "@holdfast/model";
import { encodeAbort, encodeData, encodeInit, encodeShutdownComplete } from "@holdfast/sctp";
import type { SimulatedTime } from "../clock.ts";
import type { Client } from "./client.ts";
import { ipPacket, nextMac } from "./host.ts";
import type { Ledger } from "./ledger.ts";
import type { Machine } from "./machine.ts";
import type { Happening } from "./schedule.ts";
import type { Port, Wire } from "./wire.ts";
import { SERVICE_PORT, SERVICES, strangerAddress } from "./world.ts";

export interface AttackerPorts {
  readonly time: SimulatedTime;
  readonly random: Random;
  readonly wire: Wire;
  readonly ledger: Ledger;
  readonly machines: readonly Machine[];
  readonly tell: (what: string) => void;
}

export class Attacker {
  readonly #ports: AttackerPorts;
  readonly #port: Port = { host: "attacker", network: "path-a", mac: nextMac(), receive: () => {} };

  constructor(ports: AttackerPorts) {
    this.#ports = ports;
    ports.wire.plug(this.#port);
  }

  forge(client: Client, what: Extract<Happening, { kind: "forge" }>["what"], tag: number): void {
    const { ledger, tell } = this.#ports;
    const instance = client.instance;
    const [source] = client.options.addresses;
    if (instance === undefined || source === undefined || ledger.byTag(tag) !== undefined) return;
    const chunks = {
      abort: encodeAbort(),
      abortReflected: encodeAbort({ reflected: true }),
      shutdownComplete: encodeShutdownComplete(),
      init: encodeInit({ initiateTag: tag }),
      data: encodeData({ tsn: 1, data: new Uint8Array(12) }),
    };
    tell(`forged ${what} in the name of a${instance.id}`);
    for (const vip of instance.service.vips)
      this.#inject(source, vip, client.options.port, what === "init" ? 0 : tag, [chunks[what]]);
  }

  flood(count: number): void {
    const { time, random, tell } = this.#ports;
    tell(`${count} INITs of strangers`);
    const [service] = SERVICES;
    if (service === undefined) return;
    for (let i = 0; i < count; i++) {
      const source = strangerAddress(random.below(250));
      const tag = 1 + random.below(0xffff_fffe);
      const vip = service.vips[random.below(service.vips.length)] as Address;
      time.at(time.nowMs + i, () =>
        this.#inject(source, vip, 20_000 + random.below(20_000), 0, [encodeInit({ initiateTag: tag })]),
      );
    }
  }

  /** Into the segment, to everybody who announces the VIP. */
  #inject(source: Address, vip: Address, port: number, tag: number, chunks: readonly Uint8Array[]): void {
    const packet = ipPacket(source, vip, { source: port, destination: SERVICE_PORT }, tag, chunks);
    for (const machine of this.#ports.machines) {
      if (!machine.fastPath.owns(vip)) continue;
      const mac = machine.network.link("pa")?.mac;
      if (mac !== undefined)
        this.#ports.wire.send(this.#port, ((mac[4] as number) << 8) | (mac[5] as number), {
          kind: "ip",
          packet,
        });
    }
  }
}
