#!/usr/bin/env bash
# Builds GoBGP's daemon, which Debian has in an older version, for one long test; prints where it is. Needs Go 1.25 or newer.
set -euo pipefail
version=v4.8.0
place=${XDG_CACHE_HOME:-$HOME/.cache}/holdfast/gobgp-$version
if [ ! -x "$place/gobgpd" ]; then
  command -v go >/dev/null || { echo "gobgp.sh: install Go (https://go.dev/dl) for this test" >&2; exit 1; }
  echo "gobgp.sh: building GoBGP $version" >&2
  GOBIN=$place go install "github.com/osrg/gobgp/v4/cmd/gobgpd@$version" >&2
fi
echo "$place/gobgpd"
