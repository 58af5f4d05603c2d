import { describeApiServer } from "../client/compliance.ts";
import { ENDPOINT_SLICES, EVENTS, LEASES, PODS, SERVICES, VIP_POOLS } from "../objects.ts";
import { TestApiServer } from "./api-server.ts";

describeApiServer("the API server for tests", async () => {
  const server = await TestApiServer.start([SERVICES, ENDPOINT_SLICES, PODS, EVENTS, LEASES, VIP_POOLS]);
  return { connection: { url: server.url, namespace: "default" }, close: () => server.close() };
});
