#!/bin/bash
# Renders ./base and ./nodes from ./chart. Needs helm: `go install helm.sh/helm/v4/cmd/helm@latest`.
set -euo pipefail
cd "$(dirname "$0")"
note="# Rendered from ../chart by ../render.sh; do not edit."
{
  echo "$note"
  for file in chart/crds/*.yaml; do
    echo ---
    cat "$file"
  done
} >base/crds.yaml
cp base/crds.yaml nodes/crds.yaml
{
  echo "$note"
  helm template holdfast-controller chart --namespace holdfast --set 'members.urls={http://members.example:7080}'
} >base/controller.yaml
{
  echo "$note"
  helm template holdfast chart --namespace holdfast --set nodes.enabled=true --set members.tokenSecret.name=holdfast-api
} >nodes/holdfast.yaml
