#!/bin/sh
# What meson runs: cargo-build.sh CARGO PROFILE TARGET-DIRECTORY OUTPUT
set -eu
cargo=$1 profile=$2 target=$3 output=$4
# Cargo calls the dev profile's directory debug.
directory=$profile
[ "$profile" = dev ] && directory=debug
"$cargo" build --manifest-path "$(dirname "$0")/../Cargo.toml" --package gst-plugin-kendryte --lib --locked --profile "$profile" --target-dir "$target"
# Replaced in one step: a program that has the old plugin loaded keeps it.
cp "$target/$directory/libgstkendryte.so" "$output.new"
mv "$output.new" "$output"
