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
    debs=$2 emulated=$3
    scratch=$(mktemp -d)
    # What an earlier run has left goes before this one, and what this one brings goes at its end.
    clean() {
        local patterns=()
        for name in gst-plugin-kendryte kendryte-recorder k230-doubles gstreamer1.0-; do
            patterns+=("?and(?installed, ?name(^$name))")
        done
        apt-get purge -y -qq --autoremove "${patterns[@]}" >/dev/null
    }
    apt-get update -qq
    clean
    trap 'clean; rm -rf "$scratch"' EXIT

    # Without what is only recommended: the dependencies have to do.
    install_packages() {
        apt-get install -y -qq --no-install-recommends "$@" >/dev/null
    }
    cp "$debs"/*.deb "$scratch"
    chmod -R a+rX "$scratch"
    first=("$scratch"/gst-plugin-kendryte_*.deb "$scratch"/gst-plugin-kendryte-tools_*.deb gstreamer1.0-tools)
    install_packages --download-only "${first[@]}"
    SECONDS=0
    install_packages "${first[@]}"
    gst-launch-1.0 -q -e k210camerasrc device=sim: num-buffers=20 ! avimjpegmux ! \
        filesink location="$scratch/a.avi"
    took=$SECONDS
    echo "recorded $took seconds after everything was downloaded"
    # A minute; an emulated machine has ten.
    limit=60
    [ "$emulated" = no ] || limit=600
    if [ "$took" -gt "$limit" ]; then
        echo "That is more than $limit." >&2
        exit 1
    fi
    avi-repair "$scratch/a.avi" "$scratch/b.avi" | grep -x '20 frames were copied'

    gst-inspect-1.0 kendryte
    for element in $(gst-inspect-1.0 kendryte | sed -n '/Device Provider/d; s/^  \([a-z0-9]*\): .*/\1/p'); do
        gst-inspect-1.0 "$element" >/dev/null
    done
    gst-launch-1.0 -q filesrc location="$scratch/a.avi" ! avimjpegdemux ! avimjpegmux ! \
        filesink location="$scratch/again.avi"
    avi-repair "$scratch/again.avi" "$scratch/b2.avi" | grep -x '20 frames were copied'

    # A pseudo-terminal, or TCP where qemu-user (7.2) has no TCGETS2.
    where=(--link "$scratch/board")
    [ "$emulated" = no ] || where=(--tcp 127.0.0.1:0)
    k210-sim "${where[@]}" >"$scratch/sim" &
    sim=$!
    until [ -s "$scratch/sim" ]; do
        kill -0 "$sim" || exit 1
        sleep 0.1
    done
    gst-launch-1.0 -q -e k210camerasrc device="$(head -n 1 "$scratch/sim")" num-buffers=5 ! avimjpegmux ! \
        filesink location="$scratch/c.avi"
    kill "$sim"
    avi-repair "$scratch/c.avi" "$scratch/d.avi" | grep -x '5 frames were copied'

    k230-probe --help | grep -q k230-probe
    # A player finds the demuxer, once there is a decoder.
    install_packages gstreamer1.0-plugins-good
    GST_DEBUG=avimjpegdemux:5 gst-launch-1.0 -q playbin uri="file://$scratch/a.avi" video-sink=fakesink 2>"$scratch/log"
    grep -q 'Running in Pull mode' "$scratch/log"

    # What the README shows first, with what apt brings where it is let.
    readme=$(sed -n 's/^\$ \(gst-launch-1\.0 .*profile=k210\)$/\1/p' README.md)
    (cd "$scratch" && sh -c "$readme" >/dev/null)
    avi-repair --check-k210 "$scratch/capture.avi"

    # The K230's encoder: on the double of its device, by the element and by the program.
    install_packages "$scratch"/k230-doubles_*.deb gstreamer1.0-plugins-{bad,ugly} gstreamer1.0-libav
    double=$(echo /usr/lib/*/k230-doubles/libk230v4l2_sim.so)
    mkdir "$scratch/pictures"
    LD_PRELOAD=$double gst-launch-1.0 -q videotestsrc num-buffers=10 ! \
        video/x-raw,format=NV12,width=320,height=240 ! k230venc backend=v4l2 ! video/x-h264 ! h264parse ! mp4mux ! \
        filesink location="$scratch/k230.mp4"
    gst-launch-1.0 -q filesrc location="$scratch/k230.mp4" ! qtdemux ! h264parse ! avdec_h264 ! \
        multifilesink location="$scratch/pictures/%d"
    test "$(find "$scratch/pictures" -type f | wc -l)" -eq 10
    # Emulated, x265 has given no picture in the five seconds that the probe waits.
    LD_PRELOAD=$double k230-probe >"$scratch/probe" || [ "$emulated" = yes ]
    cat "$scratch/probe"
    grep -q 'H.264: 30 frames' "$scratch/probe"

    # The recorder, if it was built: a clip of the simulated board, asked for over HTTP.
    if compgen -G "$scratch/kendryte-recorder_*.deb" >/dev/null; then
        install_packages "$scratch"/kendryte-recorder_*.deb
        kendryte-recorder --demo --listen 127.0.0.1:0 --directory "$scratch/clips" >"$scratch/address" &
        recorder=$!
        wait_for() {
            local deadline=$((SECONDS + 300))
            until "$@"; do
                kill -0 "$recorder" || exit 1
                [ "$SECONDS" -lt "$deadline" ] || exit 1
                sleep 0.5
            done
        }
        # ask METHOD PATH: the answer's first line, without a program for HTTP.
        ask() {
            local line
            exec 3<>"/dev/tcp/127.0.0.1/$port"
            printf '%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n' "$1" "$2" >&3
            IFS= read -r line <&3
            exec 3>&-
            echo "$line"
        }
        healthy() { ask GET /healthz | grep -q ' 200 '; }
        clip() { compgen -G "$scratch/clips/demo/*.mp4" >/dev/null; }
        wait_for test -s "$scratch/address"
        port=$(sed 's/.*:\([0-9]*\).*/\1/' "$scratch/address")
        wait_for healthy
        ask POST '/api/cameras/demo/trigger?after=1' | grep ' 20[0-9] '
        wait_for clip
        kill "$recorder"
        wait "$recorder"
        gst-launch-1.0 -q filesrc location="$(echo "$scratch"/clips/demo/*.mp4)" ! qtdemux ! h264parse ! avdec_h264 ! fakesink
        test -s /usr/share/man/man1/kendryte-recorder.1.gz
        test -s /usr/lib/systemd/system/kendryte-recorder.service
    fi

    for program in avi-repair k210-film k210-sim k230-probe; do
        test -s "/usr/share/man/man1/$program.1.gz"
    done
    grep -q k210 /usr/lib/udev/rules.d/70-k210.rules
    ls -l /usr/lib/*/gstreamer-1.0/libgstkendryte.so
    echo "$(. /etc/os-release && echo "$PRETTY_NAME"): installed, inspected, recorded"
    exit
fi

here=$(dpkg --print-architecture)
arch=${DEB_ARCH:-$here}
target=${CARGO_TARGET_DIR:-$PWD/target}
debs=$target/deb emulated=no
if [ "$arch" != "$here" ]; then
    debs=$target/deb-$arch emulated=yes
fi
ls "$debs"/gst-plugin-kendryte_*.deb >/dev/null
# Chroots of their own, in which nothing else is installed. The packages are seen there as /target/packages, wherever
# cargo's directory is.
export CHROOTS=$target/clean-chroots RUST=none
packages=$CHROOTS/target/packages
rm -rf "$packages"
mkdir -p "$packages"
find "$debs" -maxdepth 1 -name '*.deb' ! -name '*-dbgsym_*' -exec cp -t "$packages" {} +
# Stripped, with what was stripped in packages of its own.
contents=$(mktemp -d)
trap 'rm -rf "$contents"' EXIT
for deb in "$packages"/*.deb; do
    name=$(basename "$deb")
    ls "$debs/${name%%_*}"-dbgsym_*deb >/dev/null
    dpkg-deb --extract "$deb" "$contents"
done
stripped=0
while IFS= read -r file; do
    case $(readelf --sections --wide "$file") in
        *' .symtab '*)
            echo "$file has its symbols." >&2
            exit 1
            ;;
        *' .dynsym '*) stripped=$((stripped + 1)) ;;
    esac
done < <(find "$contents/usr/bin" "$contents/usr/lib" -type f \( -path '*/bin/*' -o -name '*.so' \))
[ "$stripped" -ge 6 ]
if [ $# -eq 0 ]; then
    [ "$arch" = riscv64 ] || set -- bookworm
    set -- "$@" trixie
fi
for suite in "$@"; do
    scripts/chroot.sh "$suite" "$arch" scripts/deb-test.sh --inside /target/packages "$emulated"
done
