// Loaded before a test file that takes what processor the others leave: its children inherit it.
import { setPriority } from "node:os";

const NICENESS = 10;

setPriority(NICENESS);
