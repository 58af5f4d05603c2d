#!/usr/bin/env bash
# Compiles the BPF programs to build/, when a source is newer: the fast path, and the benchmark's packet generator.
set -euo pipefail
cd "$(dirname "$0")"
sources=src/fast-path/bpf

compile() { # source object
  [ ! -e "$2" ] || [ -n "$(find "$sources/program" "$sources/bench" build.sh -newer "$2" -print -quit)" ] || return 0
  command -v clang >/dev/null ||
    { echo "build: clang is missing; install Debian's clang, llvm and libbpf-dev" >&2; exit 1; }
  mkdir -p build
  # Two builds at a time must not see each other's halves.
  local new="$2.$$"
  # Kernel headers of Debian lie in a directory of the architecture, which -target bpf does not search.
  clang -O2 -g -Wall -Wextra -Werror -Wno-unused-parameter -Wno-initializer-overrides \
    -Wno-address-of-packed-member -target bpf -mcpu=v3 -I "/usr/include/$(uname -m)-linux-gnu" -c "$1" -o "$new"
  # Debug information for people goes, BTF stays.
  if command -v llvm-strip >/dev/null; then llvm-strip -g "$new"; fi
  mv "$new" "$2"
}

compile "$sources/program/holdfast.bpf.c" build/holdfast.bpf.o
compile "$sources/bench/generator.bpf.c" build/generator.bpf.o
