#!/usr/bin/env bash
# Checks what `make dist` built before it is published: tools/check_release.sh TAG. The wheel must have the tag's version,
# and run in an environment with nothing else in it.
set -euo pipefail
cd "$(dirname "$0")/.."

tag=${1:?missing tag, like v1.2.3}
version=${tag#v}
wheel=dist/pilotlight-$version-py3-none-any.whl

fail() { echo "error: $1" >&2 && exit 1; }

[ "v$version" = "$tag" ] || fail "tag $tag: expected v followed by a version, like v1.2.3"
[ -f "$wheel" ] || fail "tag $tag: found $(echo dist/pilotlight-*.whl), expected $wheel; tag the commit that has this version"

environment=$(mktemp -d)
trap 'rm -rf "$environment"' EXIT
.venv/bin/uv venv --quiet "$environment"
.venv/bin/uv pip install --quiet --python "$environment" "$wheel"
printed=$("$environment/bin/pilotlight" --version)
[ "$printed" = "$version" ] || fail "pilotlight --version: found $printed, expected $version as in the wheel's name"
echo "$wheel installs and runs"
