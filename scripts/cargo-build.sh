#!/bin/sh
# What meson runs:
#
#   cargo-build.sh CARGO PROFILE TARGET-DIRECTORY OUTPUT PACKAGE... [--OPTION=OF-CARGO...]
#
# OUTPUT is what cargo leaves of one of the packages: a library by its file's name, or a program. All packages are
# built each time, which is quick when nothing has changed: built by themselves they would want different features
# of what they share, and one would undo what another has built. CARGO_TARGET_DIR in the environment wins over
# TARGET-DIRECTORY. CARGO_BUILD_TARGET there is the target triple. Crates that `cargo vendor` has put into vendor/
# are used, and nothing is fetched then.
set -eu
cargo=$1 profile=$2 target=${CARGO_TARGET_DIR:-$3} output=$4
shift 4
source=$(dirname "$(dirname "$(realpath "$0")")")
name=$(basename "$output")
# Cargo calls the dev profile's directory debug.
directory=$profile
[ "$profile" = dev ] && directory=debug
directory=$target/${CARGO_BUILD_TARGET:+$CARGO_BUILD_TARGET/}$directory

for package; do
    shift
    case $package in
        --*) set -- "$@" "$package" ;;
        *) set -- "$@" --package "$package" ;;
    esac
done
if [ -d "$source/vendor" ]; then
    set -- "$@" --offline --config 'source.crates-io.replace-with="vendored"' \
        --config "source.vendored.directory=\"$source/vendor\""
fi
"$cargo" build --manifest-path "$source/Cargo.toml" --lib --bins "$@" --locked \
    --profile "$profile" --target-dir "$target"
# Replaced in one step: a program that has the old plugin loaded keeps it.
cp "$directory/$name" "$output.new"
mv "$output.new" "$output"
