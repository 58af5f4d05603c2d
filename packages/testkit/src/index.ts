// simulated clock and network, packet builder, lab
export * from "./capture/capture.ts";
export * from "./capture/judge.ts";
export * from "./capture/packet.ts";
export * from "./capture/pcap.ts";
export * from "./cluster/cluster.ts";
export * from "./cluster/member.ts";
export * from "./lab/host.ts";
export * from "./lab/lab.ts";
export * from "./lab/shell.ts";
export * from "./packets/build.ts";
export * from "./packets/generate.ts";
export * from "./packets/world.ts";
export * from "./peer/peer.ts";
export * from "./raw/offload-socket.ts";
export * from "./raw/raw-host.ts";
export * from "./raw/scripted-client.ts";
export * from "./wait.ts";
