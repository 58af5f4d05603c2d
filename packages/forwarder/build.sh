#!/usr/bin/env bash
# Compiles the BPF programs to build/holdfast.bpf.o, when a source is newer.
set -euo pipefail
cd "$(dirname "$0")"
sources=src/fast-path/bpf/program
object=build/holdfast.bpf.o

if [ -e "$object" ] && [ -z "$(find "$sources" build.sh -newer "$object" -print -quit)" ]; then exit 0; fi
command -v clang >/dev/null || { echo "build: clang is missing; install Debian's clang, llvm and libbpf-dev" >&2; exit 1; }
mkdir -p build
# Kernel headers of Debian lie in a directory of the architecture, which -target bpf does not search.
clang -O2 -g -Wall -Wextra -Werror -Wno-unused-parameter -Wno-initializer-overrides -Wno-address-of-packed-member \
  -target bpf -mcpu=v3 -D__TARGET_ARCH_x86 -I "/usr/include/$(uname -m)-linux-gnu" \
  -c "$sources/holdfast.bpf.c" -o "$object.new"
# Debug information for people goes, BTF stays.
if command -v llvm-strip >/dev/null; then llvm-strip -g "$object.new"; fi
mv "$object.new" "$object"
