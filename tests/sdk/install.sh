#!/bin/sh
# Installs the client libraries that `make sdk` and the tests use, in the versions of requirements.txt and package-lock.json,
# into target/sdk. Safe to run again: what is there in these versions stays.
#
# Where Python 3.11, or Node 20 with npm, is missing, or the registry cannot be reached, it says so and leaves the libraries
# out: the tests are skipped then.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
target=$here/../../target/sdk
mkdir -p "$target"

# Whether $2 was made from the file $1 as it is now.
is_current() {
    [ -f "$2" ] && cmp -s "$1" "$2"
}

if ! python3 -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "sdk-install: left out: Python 3.11 with pip is needed" >&2
elif ! is_current "$here/requirements.txt" "$target/python/requirements.txt"; then
    rm -rf "$target/python" "$target/python.new"
    if python3 -m pip install --quiet --no-input --disable-pip-version-check --no-warn-conflicts --require-hashes \
        --only-binary :all: --target "$target/python.new" --requirement "$here/requirements.txt"; then
        cp "$here/requirements.txt" "$target/python.new/"
        mv "$target/python.new" "$target/python"
    else
        echo "sdk-install: left out: the Python libraries could not be installed" >&2
    fi
fi

if ! command -v npm >/dev/null 2>&1 || ! node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null; then
    echo "sdk-install: left out: Node 20 with npm is needed" >&2
elif ! is_current "$here/package-lock.json" "$target/node/installed-lock.json"; then
    mkdir -p "$target/node"
    cp "$here/package.json" "$here/package-lock.json" "$target/node/"
    if (cd "$target/node" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error); then
        cp "$here/package-lock.json" "$target/node/installed-lock.json"
    else
        echo "sdk-install: left out: the JavaScript libraries could not be installed" >&2
    fi
fi
