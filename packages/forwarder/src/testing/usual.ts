// What most stories of the slow path begin with: the first VIPs, one path up and down, and hosts of either side.
import type { Address, Endpoint } from "@holdfast/model";
import { ClientHost, EndpointHost, type Route } from "./hosts.ts";
import { CLIENT, CLIENT_PORT, ENDPOINT, ENDPOINT_PORT, SERVICE_PORT, VIPS } from "./rig.ts";

export const [VIP0, VIP1] = VIPS as [Address, Address];
export const UP: Route = { source: CLIENT, destination: VIP0 };
export const DOWN: Route = { source: ENDPOINT, destination: VIP0 };

/** As a service lists it. */
export const endpointAt = (address: Address): Endpoint => ({
  address,
  port: ENDPOINT_PORT,
  weight: 1,
  state: "active",
});

export const newClient = (tag: number, port = CLIENT_PORT) => new ClientHost(port, SERVICE_PORT, tag);
export const newEndpoint = (tag: number) => new EndpointHost(ENDPOINT_PORT, 0, tag);
