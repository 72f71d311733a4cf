#!/usr/bin/env bash
# Installs from a read-only tree without a network, as distributions build: by meson with its options, and by
# cargo-c; and compares what is installed. As root, or wherever a user may make namespaces.
#
#   scripts/install-test.sh          after `make vendor`; needs meson and cargo-c (apt-get install cargo-c)
set -euo pipefail
cd "$(dirname "$0")/.."

# Inside, without a network.
if [ "${1:-}" = --inside ]; then
    scratch=$2 source=$PWD
    mount --bind "$source" "$source"
    mount -o remount,bind,ro "$source"
    cd "$source"
    if touch written 2>/dev/null; then
        exit 1
    fi
    # Neither crates that were fetched before nor a configuration that finds them.
    export CARGO_HOME=$scratch/cargo-home CARGO_TARGET_DIR=$scratch/target
    # What is built is to be installed and loaded, not to be fast.
    export CARGO_PROFILE_DEV_OPT_LEVEL=0 CARGO_PROFILE_DEV_DEBUG=0
    prefix=/opt/kendryte

    # by_meson NAME OPTION...: installs in $scratch/NAME.
    by_meson() {
        local name=$1
        shift
        meson setup --buildtype=debug --prefix="$prefix" --libdir=lib "$@" "$scratch/$name-build" "$source" >/dev/null
        meson compile -C "$scratch/$name-build"
        DESTDIR=$scratch/$name meson install -C "$scratch/$name-build" --no-rebuild >/dev/null
    }
    # plugin_of ROOT: where its pkg-config file says the plugin is.
    plugin_of() {
        pkg-config --variable=plugin "$scratch/$1$prefix/lib/pkgconfig/gstkendryte.pc"
    }
    elements_of() {
        GST_REGISTRY=$scratch/registry GST_REGISTRY_FORK=no GST_PLUGIN_SYSTEM_PATH=/nonexistent \
            GST_PLUGIN_PATH=$(dirname "$1") gst-inspect-1.0 kendryte | sed -n 's/^  \([a-z0-9]*\): .*/\1/p'
    }

    by_meson meson
    by_meson elsewhere -Dplugindir=lib/plugins -Dprograms=false -Dudevrulesdir= -Dsim=false
    test "$(realpath "$(plugin_of elsewhere)")" = "$scratch/elsewhere$prefix/lib/plugins/libgstkendryte.so"
    test "$(find "$scratch/elsewhere" -type f | wc -l)" -eq 2

    # Of cargo-c's files there is no header, and no static library unless it is asked for.
    mkdir -p "$CARGO_HOME"
    printf '[source.crates-io]\nreplace-with = "vendored"\n[source.vendored]\ndirectory = "%s"\n' \
        "$source/vendor" >"$CARGO_HOME/config.toml"
    cargo cinstall --manifest-path "$source/Cargo.toml" --package gst-plugin-kendryte --locked --offline --debug \
        --library-type=cdylib --prefix="$prefix" --libdir=lib --destdir="$scratch/cargo-c"

    files() { (cd "$scratch/$1" && find . -type f -o -type l | sort); }
    files cargo-c >"$scratch/cargo-c.files"
    files meson >"$scratch/meson.files"
    # Programs, pages and the udev rule are meson's.
    grep -vE '/bin/|/share/man/|/udev/' "$scratch/meson.files" | diff "$scratch/cargo-c.files" -
    cat "$scratch/meson.files"

    elements=$(elements_of "$(plugin_of meson)")
    test -n "$elements"
    for other in "$(plugin_of elsewhere)" "$scratch/cargo-c$prefix/lib/gstreamer-1.0/libgstkendryte.so"; do
        test "$(elements_of "$other")" = "$elements"
    done
    # Built without the simulated board, it says so.
    if said=$(GST_REGISTRY=$scratch/registry GST_REGISTRY_FORK=no \
        GST_PLUGIN_PATH=$(dirname "$(plugin_of elsewhere)") \
        gst-launch-1.0 k210camerasrc device=sim: ! fakesink 2>&1); then
        echo "a board that was left out is there: $said" >&2
        exit 1
    fi
    grep 'built without the simulated board' <<<"$said"
    for root in meson cargo-c; do
        pc=$scratch/$root$prefix/lib/pkgconfig/gstkendryte.pc
        echo "$root: $(pkg-config --modversion "$pc")"
    done | sed 's/.*: //' | uniq | wc -l | grep -qx 1
    for program in avi-repair k210-film k210-sim k230-probe; do
        "$scratch/meson$prefix/bin/$program" --help >/dev/null
    done
    echo "installed by meson and by cargo-c, offline and from a read-only tree"
    exit
fi

if [ ! -d vendor ] || ! cargo cinstall --version >/dev/null 2>&1; then
    echo "$0 needs the crates in vendor/ (make vendor), and cargo-c." >&2
    exit 1
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
namespaces=(--mount --net)
[ "$(id -u)" -eq 0 ] || namespaces+=(--map-root-user)
unshare "${namespaces[@]}" scripts/install-test.sh --inside "$scratch"
