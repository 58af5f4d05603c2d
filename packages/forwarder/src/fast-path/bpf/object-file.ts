// Where build.sh puts the compiled programs.
import { fileURLToPath } from "node:url";

export const BPF_OBJECT_FILE = fileURLToPath(new URL("../../../build/holdfast.bpf.o", import.meta.url));
