#!/usr/bin/env bash
# Installs the packages of `make deb` in clean chroots of Debian and uses them; those of another architecture
# under qemu-user.
#
#   scripts/deb-test.sh [SUITE...]                default: bookworm trixie
#   DEB_ARCH=riscv64 scripts/deb-test.sh          default: the Debians that have it
set -euo pipefail
cd "$(dirname "$0")/.."

# What runs inside, as root.
if [ "${1:-}" = --inside ]; then
    debs=$2
    scratch=$(mktemp -d)
    # What an earlier run has left goes before this one, and what this one brings goes at its end.
    clean() {
        apt-get purge -y -qq --autoremove '?name(^gst-plugin-kendryte)~i' '?name(^gstreamer1.0-(tools|plugins-good)$)~i' \
            >/dev/null
    }
    apt-get update -qq
    clean
    trap 'clean; rm -rf "$scratch"' EXIT

    # Without what is only recommended: the dependencies have to do.
    cp "$debs"/gst-plugin-kendryte_*.deb "$debs"/gst-plugin-kendryte-tools_*.deb "$scratch"
    chmod -R a+rX "$scratch"
    apt-get install -y -qq --no-install-recommends "$scratch"/*.deb gstreamer1.0-tools >/dev/null

    gst-inspect-1.0 kendryte
    for element in $(gst-inspect-1.0 kendryte | sed -n '/Device Provider/d; s/^  \([a-z0-9]*\): .*/\1/p'); do
        gst-inspect-1.0 "$element" >/dev/null
    done
    gst-launch-1.0 -q -e k210camerasrc device=sim: num-buffers=20 ! avimjpegmux ! \
        filesink location="$scratch/a.avi"
    avi-repair "$scratch/a.avi" "$scratch/b.avi" | grep -x '20 frames were copied'
    gst-launch-1.0 -q filesrc location="$scratch/a.avi" ! avimjpegdemux ! avimjpegmux ! \
        filesink location="$scratch/again.avi"
    avi-repair "$scratch/again.avi" "$scratch/b2.avi" | grep -x '20 frames were copied'

    k210-sim --link "$scratch/board" >/dev/null &
    sim=$!
    until [ -e "$scratch/board" ]; do kill -0 "$sim" && sleep 0.1; done
    gst-launch-1.0 -q -e k210camerasrc device="$scratch/board" num-buffers=5 ! avimjpegmux ! \
        filesink location="$scratch/c.avi"
    kill "$sim"
    avi-repair "$scratch/c.avi" "$scratch/d.avi" | grep -x '5 frames were copied'

    k230-probe --help | grep -q k230-probe
    # A player finds the demuxer, once there is a decoder.
    apt-get install -y -qq --no-install-recommends gstreamer1.0-plugins-good >/dev/null
    GST_DEBUG=avimjpegdemux:5 gst-launch-1.0 -q playbin uri="file://$scratch/a.avi" video-sink=fakesink 2>"$scratch/log"
    grep -q 'Running in Pull mode' "$scratch/log"

    for program in avi-repair k210-sim k230-probe; do
        test -s "/usr/share/man/man1/$program.1.gz"
    done
    grep -q k210 /usr/lib/udev/rules.d/70-k210.rules
    echo "$(. /etc/os-release && echo "$PRETTY_NAME"): installed, inspected, recorded"
    exit
fi

here=$(dpkg --print-architecture)
arch=${DEB_ARCH:-$here}
target=${CARGO_TARGET_DIR:-$PWD/target}
debs=$target/deb
[ "$arch" = "$here" ] || debs=$target/deb-$arch
ls "$debs"/gst-plugin-kendryte_*.deb >/dev/null
# Chroots of their own, in which nothing else is installed.
export CHROOTS=$target/clean-chroots RUST=none
if [ $# -eq 0 ]; then
    [ "$arch" = riscv64 ] || set -- bookworm
    set -- "$@" trixie
fi
for suite in "$@"; do
    scripts/chroot.sh "$suite" "$arch" scripts/deb-test.sh --inside "$debs"
done
