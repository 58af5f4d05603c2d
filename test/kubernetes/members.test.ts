// Members on nodes: numbers and certificates as nodes come and go, on the API server for tests.
import { runMemberContract } from "./members-contract.ts";
import { openTestKubernetes } from "./members-world.ts";

runMemberContract("the API server for tests", openTestKubernetes);
