#!/bin/sh
# Runs holdfast; with `make-certificates MEMBER…` it makes what the members of the compose file authenticate with.
set -eu
if [ "${1:-}" = make-certificates ]; then
  shift
  directory=/certificates
  if [ ! -e "$directory/authority.crt" ]; then
    holdfast certificates init --cluster "$HOLDFAST_CLUSTER_ID" --directory "$directory"
  fi
  number=0
  for member in "$@"; do
    [ -e "$directory/$member.crt" ] || holdfast certificates issue "$member" --number "$number" --directory "$directory"
    number=$((number + 1))
  done
  exit 0
fi
exec holdfast "$@"
