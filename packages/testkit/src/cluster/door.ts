// Doors to members' APIs on this machine's loopback, for a browser: what comes in goes to a unix socket,
// which every namespace of the machine reaches. A member that is gone closes what comes.
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import type { Lab } from "../lab/lab.ts";

export class Door {
  readonly #server: Server;
  readonly #open = new Set<Socket>();
  /** Where it leads; undefined: nowhere yet. */
  socket: string | undefined;

  private constructor(server: Server) {
    this.#server = server;
    server.on("connection", (from) => {
      if (this.socket === undefined) {
        from.destroy();
        return;
      }
      const to = connect(this.socket);
      for (const [one, other] of [
        [from, to],
        [to, from],
      ] as const) {
        this.#open.add(one);
        one.on("error", () => other.destroy());
        one.on("close", () => {
          this.#open.delete(one);
          other.destroy();
        });
        one.pipe(other);
      }
    });
  }

  /** It is shut when the lab ends. */
  static async open(lab?: Lab): Promise<Door> {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const door = new Door(server);
    lab?.onEnd(() => door.close());
    return door;
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  close(): void {
    for (const socket of this.#open) socket.destroy();
    this.#server.close();
  }
}

/** For `node -e`: a unix socket that leads to a port of the loopback of whichever namespace it runs in. */
export function relayScript(socket: string, port: number): string {
  return `const net=require("node:net");net.createServer(a=>{const b=net.connect(${port},"127.0.0.1");
for(const[x,y]of[[a,b],[b,a]]){x.on("error",()=>y.destroy());x.on("close",()=>y.destroy());x.pipe(y)}
}).listen(${JSON.stringify(socket)})`;
}
