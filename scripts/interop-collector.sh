#!/usr/bin/env bash
# Provides the collector of the OpenTelemetry project for `make test.interop`, and prints where its program is.
#
#   scripts/interop-collector.sh          OTLP in, a file out
#   scripts/interop-collector.sh kafka    OTLP and Kafka in, OTLP and Kafka out
#
# It is made by the project's own builder, with what the tests need. These versions and no others; Go checks every module
# against the public checksum database. Built once, into target/collector.
set -euo pipefail
cd "$(dirname "$0")/.."

own=go.opentelemetry.io/collector
contrib=github.com/open-telemetry/opentelemetry-collector-contrib
case ${1:-} in
'')
    name=otelcol version=0.161.0 provider_version=1.67.0
    receivers=("$own/receiver/otlpreceiver")
    exporters=("$contrib/exporter/fileexporter")
    ;;
kafka)
    # The newest version whose modules for Kafka the Go module proxy has, all of them.
    name=otelcol-kafka version=0.155.0 provider_version=1.61.0
    receivers=("$own/receiver/otlpreceiver" "$contrib/receiver/kafkareceiver")
    exporters=("$own/exporter/otlphttpexporter" "$contrib/exporter/kafkaexporter")
    ;;
*)
    printf 'usage: scripts/interop-collector.sh [kafka]\n' >&2
    exit 2
    ;;
esac
cache=$PWD/target/collector
program=$cache/$name-$version/otelcol

if [ ! -x "$program" ]; then
    if ! command -v go >/dev/null; then
        printf 'missing: Go\n         install it as https://go.dev/doc/install says\n' >&2
        exit 1
    fi
    printf 'building the OpenTelemetry collector %s (several minutes, once)\n' "$version" >&2
    mkdir -p "$cache"
    folder=$(mktemp -d "$cache/build.XXXXXX")
    trap 'rm -rf "$folder"' EXIT
    {
        printf 'dist:\n  name: otelcol\n  description: the collector of the interoperability tests\n'
        printf '  output_path: %s\n' "$folder/made"
        printf 'receivers:\n'
        printf "  - gomod: %s v$version\n" "${receivers[@]}"
        printf 'exporters:\n'
        printf "  - gomod: %s v$version\n" "${exporters[@]}"
        printf 'providers:\n  - gomod: %s v%s\n' "$own/confmap/provider/fileprovider" "$provider_version"
        printf 'conf_resolver:\n  default_uri_scheme: file\n'
    } >"$folder/build.yaml"
    # The builder makes folders that it does not use where temporary files go.
    if ! (cd "$folder" && TMPDIR=$folder go run "$own/cmd/builder@v$version" --config build.yaml) >"$folder/log" 2>&1; then
        cat "$folder/log" >&2
        exit 1
    fi
    # One that does not run here is found now and not in the middle of a test.
    "$folder/made/otelcol" components >"$folder/log"
    mkdir -p "$(dirname "$program")"
    mv "$folder/made/otelcol" "$program"
fi
printf '%s\n' "$program"
