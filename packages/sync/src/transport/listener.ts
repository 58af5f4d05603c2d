// Accepts connections of members: TLS 1.3 with a client certificate of the cluster's authority, then an HTTP
// upgrade, then a Link. Not one byte of an unauthenticated peer reaches the HTTP parser.

import { createServer as createHttpServer, type Server as HttpServer } from "node:http";
import { createServer as createNetServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from "node:tls";
import { HoldfastError } from "@holdfast/model";
import { type WebSocket, WebSocketServer } from "ws";
import { type CertifiedMember, certifiedMember } from "../certificates/identity.ts";
import type { MemberTls } from "../certificates/verify.ts";
import { PEER_MESSAGE_BYTES_MAX } from "../ports/limits.ts";
import { contextOf } from "./secure-context.ts";
import type { HostPort } from "./settings.ts";
import { WAITING_MS, WaitingRoom } from "./waiting-room.ts";

export const LINK_PATH = "/holdfast/members";
/** Header in which a refused dialler finds the reason. */
export const REFUSAL_HEADER = "x-holdfast-refusal";
export const CERTIFICATE_ENDED =
  "its certificate has ended: 'holdfast certificates issue NAME', and put certificate and key in their places there; no restart is needed";
const HEADER_BYTES_MAX = 4_096;

export interface ListenerEvents {
  accepted(socket: WebSocket, certified: CertifiedMember | undefined, remote: string): void;
  refused(reason: string, explanation: string, remote: string): void;
}

export interface Listener {
  /** Where it really listens, ports filled in. */
  readonly bound: readonly HostPort[];
  /** For connections that come from now on. */
  setTls(tls: MemberTls): void;
  close(): Promise<void>;
}

/** Errors: SYNC_LISTEN_FAILED with address and reason. */
export async function listen(
  addresses: readonly HostPort[],
  tls: MemberTls | "plain",
  isMember: (address: string) => boolean,
  events: ListenerEvents,
): Promise<Listener> {
  const room = new WaitingRoom({ isMember, refused: events.refused });
  const webSockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: PEER_MESSAGE_BYTES_MAX,
    clientTracking: false,
  });
  const http = createHttpServer(
    { maxHeaderSize: HEADER_BYTES_MAX, keepAlive: false },
    (_request, response) => {
      response.writeHead(426, { connection: "close" }).end();
    },
  );
  const sockets = new Map<Socket, { certified: CertifiedMember | undefined; remote: string }>();
  http.on("clientError", (_error, socket) => socket.destroy());
  http.on("upgrade", (request, socket, head) => {
    const known = sockets.get(socket as Socket);
    sockets.delete(socket as Socket);
    if (known === undefined || request.url !== LINK_PATH) {
      socket.destroy();
      return;
    }
    room.authenticated(socket as Socket);
    webSockets.handleUpgrade(request, socket, head, (webSocket) =>
      events.accepted(webSocket, known.certified, known.remote),
    );
  });

  const admit = (socket: Socket, certified: CertifiedMember | undefined) => {
    const remote = remoteOf(socket);
    sockets.set(socket, { certified, remote });
    socket.setNoDelay(true);
    socket.once("close", () => sockets.delete(socket));
    http.emit("connection", socket);
  };

  const handshakes = tls === "plain" ? undefined : tlsHandshakes(tls, admit, events);
  const servers: Server[] = [];
  const bound: HostPort[] = [];
  try {
    for (const address of addresses) {
      const server = handshakes === undefined ? plainServer(room, admit) : tlsServer(room, handshakes);
      servers.push(server);
      bound.push(await bind(server, address));
    }
  } catch (error) {
    await closeAll(servers, http);
    throw error;
  }
  return {
    bound,
    setTls: (next) => handshakes?.setSecureContext(contextOf(next)),
    close: async () => {
      room.close();
      await closeAll(servers, http);
    },
  };
}

function plainServer(room: WaitingRoom, admit: (socket: Socket, certified: undefined) => void): Server {
  return createNetServer((socket) => {
    socket.on("error", () => socket.destroy());
    if (!room.enter(socket)) return;
    admit(socket, undefined);
  });
}

/** TCP first: nothing is spent on a handshake for which there is no place. */
function tlsServer(room: WaitingRoom, handshakes: TlsServer): Server {
  return createNetServer((socket) => {
    socket.on("error", () => socket.destroy());
    if (room.enter(socket)) handshakes.emit("connection", socket);
  });
}

/** Listens nowhere: it is given the connections of all addresses. */
function tlsHandshakes(
  tls: MemberTls,
  admit: (socket: Socket, certified: CertifiedMember) => void,
  events: ListenerEvents,
): TlsServer {
  const server = createTlsServer({
    ...contextOf(tls),
    requestCert: true,
    // Checked below instead: an alert would tell the dialler nothing, a status line with a reason does.
    rejectUnauthorized: false,
    // Of silence; the waiting room's is absolute.
    handshakeTimeout: WAITING_MS,
  });
  server.on("secureConnection", (socket: TLSSocket) => {
    socket.on("error", () => socket.destroy());
    const certificate = socket.getPeerX509Certificate();
    const identity = certificate === undefined ? undefined : certifiedMember(new Uint8Array(certificate.raw));
    const failure = socket.isSessionReused()
      ? "session resumed"
      : !socket.authorized
        ? String(socket.authorizationError ?? "no certificate")
        : identity === undefined
          ? "no member identity in it"
          : undefined;
    if (failure === undefined && identity !== undefined) {
      admit(socket, identity);
      return;
    }
    const explanation = explain(failure);
    events.refused("certificate", explanation, remoteOf(socket));
    socket.end(
      `HTTP/1.1 403 Forbidden\r\n${REFUSAL_HEADER}: certificate\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`,
    );
  });
  server.on("tlsClientError", (error, socket) => {
    events.refused("tls", error.message, remoteOf(socket));
    socket.destroy();
  });
  return server;
}

function explain(failure: string | undefined): string {
  if (failure === "CERT_HAS_EXPIRED") return CERTIFICATE_ENDED;
  return `the certificate is not one of this cluster's members: ${failure}`;
}

function bind(server: Server, address: HostPort): Promise<HostPort> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error) => {
      reject(
        new HoldfastError(
          "SYNC_LISTEN_FAILED",
          { host: address.host, port: address.port, reason: error.message },
          { cause: error },
        ),
      );
    };
    server.once("error", failed);
    server.listen({ host: address.host, port: address.port }, () => {
      server.off("error", failed);
      // An accept that fails (EMFILE) must not end the process.
      server.on("error", () => {});
      const where = server.address();
      const port = where !== null && typeof where === "object" ? where.port : address.port;
      resolve({ host: address.host, port });
    });
  });
}

async function closeAll(servers: readonly Server[], http: HttpServer): Promise<void> {
  http.removeAllListeners("upgrade");
  await Promise.all(
    servers.filter((server) => server.listening).map((server) => new Promise((done) => server.close(done))),
  );
}

function remoteOf(socket: Socket | TLSSocket): string {
  return `${socket.remoteAddress ?? "?"}:${socket.remotePort ?? 0}`;
}
