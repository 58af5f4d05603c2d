#!/usr/bin/env bash
# Sets the machine up (setup.sh), then runs a TypeScript program of this repository on the right Node.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bash "$here/setup.sh"
export PATH="$here/../../node_modules/.bin:$PATH"
exec node --disable-warning=ExperimentalWarning "$@"
