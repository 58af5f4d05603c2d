import { test } from "node:test";
import { labHarness, labObstacle } from "../compliance/lab.ts";
import { describeFastPath } from "../compliance.ts";
import { openUserspaceFastPath } from "./userspace-fast-path.ts";

const obstacle = labObstacle();
if (obstacle !== undefined) {
  test("userspace fast path", { skip: obstacle }, () => {});
} else {
  describeFastPath(
    "userspace",
    labHarness((interfaces, { flowCountMax }) =>
      openUserspaceFastPath({ interfaces, ...(flowCountMax === undefined ? {} : { flowCountMax }) }),
    ),
  );
}
