// For tests: a member as a process of its own, which the test stops and continues. Argument: options as JSON.
// Prints its events as lines of JSON, and `{"owned":[…]}` whenever its duties change.
import { startCoordinator } from "../coordinator.ts";

const { services, ...options } = JSON.parse(process.argv[2] ?? "{}");
const coordinator = await startCoordinator(options);
const print = (line: object) => console.log(JSON.stringify(line));
coordinator.onEvent(print);
coordinator.onDuties((duties) => print({ owned: duties.filter(({ owned }) => owned).map(({ vip }) => vip) }));
coordinator.setServices(services);
coordinator.setReadiness({ ready: true, caughtUp: true });
print({ started: true });
