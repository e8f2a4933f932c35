#!/bin/sh
# The Go binding on a build folder: sh run.sh vet|test|race|bench SOURCE BUILD
set -eu
export PKG_CONFIG_PATH="$3/meson-uninstalled" LD_LIBRARY_PATH="$3/lib" GOPROXY=off GOTOOLCHAIN=local CC=gcc GOCACHE="$3/go-cache"
cd "$2/bindings/go"
case $1 in
vet)
    go vet ./...
    unformatted=$(gofmt -l .)
    [ -z "$unformatted" ] || { echo "gofmt: $unformatted"; exit 1; } ;;
test) go test -count=1 ./... ;;
race) MCOMP_GO_RACE=1 go test -race -count=1 ./... ;;
bench) go test -run '^$' -bench . -benchtime 200000x -count 3 ./... ;;
*) echo "vet, test, race or bench" >&2; exit 1 ;;
esac
