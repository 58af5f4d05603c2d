// `other-layout.ts PIN_DIRECTORY OBJECTS INTERFACE…`, in a member's namespace while its daemon is dead:
// programs and maps of another layout take over, as those of another version would, and are left to whoever
// comes next.
import { compiledWith, loadDataPlane, OTHER_LAYOUT, putInForce } from "@holdfast/forwarder/testing/programs";
import { silentLogger } from "@holdfast/model";

const [pinDirectory, objects, ...interfaces] = process.argv.slice(2) as [string, string, ...string[]];
const plane = loadDataPlane({
  pinDirectory,
  objectFile: compiledWith(OTHER_LAYOUT, objects),
  flowCountMax: 65_536,
  puntRingBytes: 1 << 22,
  log: silentLogger,
});
if (!plane.adopted) throw new Error("nothing was pinned");
putInForce(plane, interfaces);
