#!/usr/bin/env bash
# Builds the SCTP test peer when its sources are newer than it.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p build
if [ -e build/peer ] && [ -z "$(find src/peer build.sh -newer build/peer \( -name '*.c' -o -name '*.h' -o -name build.sh \))" ]; then
  exit 0
fi
echo "setup: building the SCTP test peer" >&2
gcc -O2 -g -Wall -Wextra -Werror -o build/peer.new src/peer/*.c -lusrsctp -lpthread
mv build/peer.new build/peer
