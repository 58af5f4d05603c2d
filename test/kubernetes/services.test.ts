import { describeContract } from "./contract.ts";
import { openWorld } from "./world.ts";

describeContract("the controller, with the API server for tests", () => openWorld());
