#!/usr/bin/env bash
# Installs the Debian or Ubuntu packages that a make target needs, and only those that are missing.
#
#   scripts/setup.sh build|install|demo|test
#
# `test` includes all the others, and each includes `build`. On a distribution without apt the list is printed
# and the script goes on, so that whoever installed the packages by other means is not held up.
set -euo pipefail

build=(
    build-essential
    pkg-config
    libgstreamer1.0-dev
    libgstreamer-plugins-base1.0-dev
)
install=(
    meson
    ninja-build
)
demo=(
    gstreamer1.0-tools
    gstreamer1.0-plugins-base
    gstreamer1.0-plugins-good
    gstreamer1.0-x
    gstreamer1.0-alsa
    gstreamer1.0-pulseaudio
)
test=(
    gstreamer1.0-plugins-bad
    gstreamer1.0-plugins-ugly
    gstreamer1.0-libav
    ffmpeg
    python3-gi
    gir1.2-gstreamer-1.0
    gir1.2-gst-plugins-base-1.0
    python3-opencv
)

case "${1:-}" in
    build) wanted=("${build[@]}") ;;
    install) wanted=("${build[@]}" "${install[@]}") ;;
    demo) wanted=("${build[@]}" "${demo[@]}") ;;
    test) wanted=("${build[@]}" "${install[@]}" "${demo[@]}" "${test[@]}") ;;
    *)
        echo "usage: $0 build|install|demo|test" >&2
        exit 2
        ;;
esac

if ! command -v cargo >/dev/null; then
    echo "Rust is not installed. See https://rustup.rs, then run this again." >&2
    exit 1
fi

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    echo "This is not a Debian or Ubuntu system. What these Debian packages hold is needed:"
    printf '  %s\n' "${wanted[@]}"
    exit 0
fi

# Older ones are found by pkg-config as well, and the build would only say so after minutes.
check_version() {
    if ! pkg-config --exists 'gstreamer-1.0 >= 1.22'; then
        echo "GStreamer 1.22 or newer is needed; this is $(pkg-config --modversion gstreamer-1.0 2>&1)." >&2
        echo "Debian 12 and Ubuntu 24.04 have it." >&2
        exit 1
    fi
}

missing=()
for package in "${wanted[@]}"; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
    check_version
    exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "These packages are missing, and neither root nor sudo is at hand to install them:" >&2
        printf '  %s\n' "${missing[@]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi

echo "Installing: ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends "${missing[@]}"
}
if ! { "${as_root[@]}" apt-get update && install; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "apt-get could not install them; its last lines are above." >&2
    exit 1
fi
check_version
