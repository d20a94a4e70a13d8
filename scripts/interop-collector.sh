#!/usr/bin/env bash
# Provides the collector of the OpenTelemetry project for `make test.interop`, and prints where its program is.
#
#   scripts/interop-collector.sh
#
# It is made by the project's own builder, with what the tests need: OTLP in, a file out. This version and no other; Go
# checks every module against the public checksum database. Built once, into target/collector.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.161.0
provider_version=1.67.0
cache=$PWD/target/collector
program=$cache/otelcol-$version/otelcol

if [ ! -x "$program" ]; then
    if ! command -v go >/dev/null; then
        printf 'missing: Go\n         install it as https://go.dev/doc/install says\n' >&2
        exit 1
    fi
    printf 'building the OpenTelemetry collector %s (several minutes, once)\n' "$version" >&2
    mkdir -p "$cache"
    folder=$(mktemp -d "$cache/build.XXXXXX")
    trap 'rm -rf "$folder"' EXIT
    cat >"$folder/build.yaml" <<EOF
dist:
  name: otelcol
  description: the collector of the interoperability tests
  output_path: $folder/made
receivers:
  - gomod: go.opentelemetry.io/collector/receiver/otlpreceiver v$version
exporters:
  - gomod: github.com/open-telemetry/opentelemetry-collector-contrib/exporter/fileexporter v$version
providers:
  - gomod: go.opentelemetry.io/collector/confmap/provider/fileprovider v$provider_version
conf_resolver:
  default_uri_scheme: file
EOF
    if ! (cd "$folder" && go run "go.opentelemetry.io/collector/cmd/builder@v$version" --config build.yaml) \
        >"$folder/log" 2>&1; then
        cat "$folder/log" >&2
        exit 1
    fi
    # One that does not run here is found now and not in the middle of a test.
    "$folder/made/otelcol" components >"$folder/log"
    mkdir -p "$(dirname "$program")"
    mv "$folder/made/otelcol" "$program"
fi
printf '%s\n' "$program"
