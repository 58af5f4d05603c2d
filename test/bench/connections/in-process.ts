// What new connections cost the slow path without a kernel (../in-process/slow-path.ts).
import { type Address, addressFromBytes, PROTOCOL_TCP, serviceIdOf } from "@holdfast/model";
import { IpHeader, read16, read32 } from "@holdfast/sctp";
import { ACK, type Place, SYN, segment } from "../../conformance/plain/segments.ts";
import { benchService, SlowPathStage } from "../in-process/slow-path.ts";
import { type Row, rounded } from "../replication/report.ts";

const VIP: Address = "203.0.113.1";
const PORT = 443;
const ENDPOINTS = { count: 32, port: 8_443 };
const KINDS = ["SYNs, forwarded", "whole handshakes, flows installed"] as const;

export async function measureConnections(count: number): Promise<Row[]> {
  const rows: Row[] = [];
  for (const kind of KINDS) {
    const value = rounded(await new Stage(kind === KINDS[1]).run(count), 0);
    rows.push({ case: `in process: ${kind}`, value, unit: "a second per core" });
  }
  return rows;
}

class Stage extends SlowPathStage {
  readonly #handshakes: boolean;

  constructor(handshakes: boolean) {
    super({
      what: "connections",
      service: benchService(ENDPOINTS, {
        ...{ id: serviceIdOf(PROTOCOL_TCP, VIP, PORT), protocol: PROTOCOL_TCP, vips: [VIP], port: PORT },
      }),
      // Connections that stay keep their ports: more of them than one member of eight has.
      memberNumberCount: 1,
      limits: { embryoCountMaxPerService: 4_194_304, embryoCountMax: 4_194_304 },
    });
    this.#handshakes = handshakes;
  }

  protected done(): number {
    const { events } = this.forwarder.counters();
    return events.get(this.#handshakes ? "connections-opened" : "connections-begun") ?? 0;
  }

  protected async batch(count: number): Promise<number> {
    const clients = Array.from({ length: count }, () => this.newcomer());
    const to = { address: VIP, port: PORT };
    let seconds = await this.inject(clients.map((from) => segment(from, to, { flags: SYN, sequence: 100 })));
    const syns = this.#taken();
    if (!this.#handshakes) return seconds;
    seconds += await this.inject(
      syns.map(({ source, destination }) =>
        segment(destination, source, { flags: SYN | ACK, sequence: 900, acknowledgment: 101 }),
      ),
    );
    seconds += await this.inject(
      this.#taken().map(({ source, destination, sequence }) =>
        segment(destination, source, { flags: ACK, sequence: 101, acknowledgment: sequence + 1 }),
      ),
    );
    this.#taken();
    return seconds;
  }

  #taken() {
    return this.fastPath.takeOutgoing().map(({ packet }) => {
      const ip = new IpHeader();
      ip.read(packet);
      const at = ip.payloadOffset;
      const place = (offset: number, port: number): Place => ({
        address: addressFromBytes(packet, offset, 4),
        port: read16(packet, at + port),
      });
      return {
        source: place(ip.sourceOffset, 0),
        destination: place(ip.destinationOffset, 2),
        sequence: read32(packet, at + 4),
      };
    });
  }
}
