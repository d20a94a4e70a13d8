#!/usr/bin/env bash
# Says what this machine lacks to build and test Scouter, all of it at once, and the way out of each.
#
#   scripts/check-machine.sh [python]     python: the interpreter to look at, python3 by default
set -uo pipefail
cd "$(dirname "$0")/.."

python=${1:-python3}
missing=0

lacks() {
    printf 'missing: %s\n         %s\n' "$1" "$2" >&2
    missing=$((missing + 1))
}

# at_least WANTED FOUND: compares versions of numbers and dots.
at_least() {
    [ "$(printf '%s\n%s\n' "$1" "$2" | sort -t. -k1,1n -k2,2n -k3,3n | head -n 1)" = "$1" ]
}

wanted_rust=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
if command -v cargo >/dev/null && command -v rustc >/dev/null; then
    found_rust=$(rustc --version | awk '{print $2}')
    at_least "$wanted_rust" "${found_rust%%-*}" ||
        lacks "Rust $wanted_rust or newer (found $found_rust)" "run \`rustup update stable\`"
else
    lacks "Rust $wanted_rust or newer (cargo, rustc)" "install it as https://rustup.rs says, then open a new shell"
fi

if command -v "$python" >/dev/null; then
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
        lacks "Python 3.10 or newer (found $("$python" --version 2>&1))" \
            "install one and name it: \`make PYTHON=python3.12 ...\`"
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        lacks "the venv module of $python" "Debian and Ubuntu: \`apt-get install python3-venv\`; elsewhere it comes with Python"
else
    lacks "Python 3.10 or newer ($python)" "install it from your system or https://www.python.org, or name it: \`make PYTHON=...\`"
fi

command -v cc >/dev/null || command -v gcc >/dev/null || command -v clang >/dev/null ||
    lacks "a C compiler (cc)" "Debian and Ubuntu: \`apt-get install build-essential\`; macOS: \`xcode-select --install\`"
# librdkafka is built from source with these two; its configure wants to see a C++ compiler. It brings zlib along.
[ -n "${CXX:-}" ] || command -v c++ >/dev/null || command -v g++ >/dev/null ||
    lacks "a C++ compiler (c++)" "Debian and Ubuntu: \`apt-get install build-essential\`; macOS: \`xcode-select --install\`"
command -v make >/dev/null ||
    lacks "make" "Debian and Ubuntu: \`apt-get install build-essential\`; macOS: \`xcode-select --install\`"
# Kafka with TLS and SASL uses the OpenSSL of the system, which its build looks for with pkg-config.
if ! { command -v pkg-config >/dev/null && pkg-config --exists openssl; } && [ -z "${OPENSSL_DIR:-}" ]; then
    lacks "OpenSSL's headers, and pkg-config to find them" \
        "Debian and Ubuntu: \`apt-get install libssl-dev pkg-config\`; macOS: \`brew install openssl pkgconf\`"
fi
command -v git >/dev/null || lacks "git" "Debian and Ubuntu: \`apt-get install git\`; macOS: \`xcode-select --install\`"

if [ "$missing" -gt 0 ]; then
    printf '%d missing, see above; nothing was built.\n' "$missing" >&2
    exit 1
fi
