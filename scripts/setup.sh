#!/usr/bin/env bash
# Installs the Debian or Ubuntu packages that a make target needs, and only those that are missing.
#
#   scripts/setup.sh build|install|deb|demo|test|fleet
#
# `test` includes all the others but `deb` and `fleet`, and each includes `build`. On a distribution without apt the list is printed
# and the script goes on, so that whoever installed the packages by other means is not held up.
set -euo pipefail

build=(
    build-essential
    pkg-config
    libgstreamer1.0-dev
    libgstreamer-plugins-base1.0-dev
    libgstrtspserver-1.0-dev
)
install=(
    meson
    ninja-build
)
deb=(
    debhelper
    dpkg-dev
    fakeroot
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
    gstreamer1.0-plugins-base-apps
    gstreamer1.0-plugins-bad
    gstreamer1.0-plugins-ugly
    gstreamer1.0-libav
    ffmpeg
    git
    glib-networking
    mosquitto
    mosquitto-clients
    openssl
    postgresql
    prometheus
    python3-gi
    gir1.2-gstreamer-1.0
    gir1.2-gst-plugins-base-1.0
    gir1.2-gst-rtsp-server-1.0
    python3-numpy
    python3-opencv
    python3-pip
    python3-swift
    swift-account
    swift-container
    swift-object
    swift-proxy
    valgrind
    v4l-utils
)
# What `make fleet` needs besides the tests' programs.
fleet=(
    iproute2
    python3-paho-mqtt
    util-linux
)
# For the tests of the recorder's page, which are skipped without. Ubuntu has them as snaps only.
browser=(
    chromium
    chromium-driver
)

case "${1:-}" in
    build) wanted=("${build[@]}") ;;
    install) wanted=("${build[@]}" "${install[@]}") ;;
    deb) wanted=("${build[@]}" "${install[@]}" "${deb[@]}") ;;
    demo) wanted=("${build[@]}" "${demo[@]}") ;;
    test) wanted=("${build[@]}" "${install[@]}" "${demo[@]}" "${test[@]}") ;;
    fleet) wanted=("${build[@]}" "${demo[@]}" "${test[@]}" "${fleet[@]}") ;;
    *)
        echo "usage: $0 build|install|deb|demo|test|fleet" >&2
        exit 2
        ;;
esac

# What is too old is said before anything is installed: cargo does not always know what it does not understand, and
# pkg-config would only say so after minutes.
rust=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$(dirname "$0")/../Cargo.toml")
if ! command -v cargo >/dev/null; then
    if [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ]; then
        echo "Rust is installed, but this shell does not know it yet: . ${CARGO_HOME:-$HOME/.cargo}/env" >&2
    else
        echo "Rust is not installed. See https://rustup.rs, then run this again." >&2
    fi
    exit 1
fi
found=$("${RUSTC:-rustc}" --version | cut -d ' ' -f 2)
if [ "$(printf '%s\n' "$rust" "${found%%-*}" | sort -V | head -n 1)" != "$rust" ]; then
    echo "Rust $rust or newer is needed; this is $found. Most distributions have an older one: see https://rustup.rs." >&2
    exit 1
fi

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    echo "This is not a Debian or Ubuntu system. What these Debian packages hold is needed:"
    printf '  %s\n' "${wanted[@]}"
    exit 0
fi

gstreamer=1.22
too_old() {
    echo "GStreamer $gstreamer or newer is needed; this system has $1. Debian 12 and Ubuntu 24.04 have it." >&2
    exit 1
}

# Sets `missing` to those of the packages that are not installed. Where something was cross-built, another
# architecture's may be there in place of this one's.
find_missing() {
    local here installed
    here=$(dpkg --print-architecture)
    installed=$(dpkg-query -W -f '${db:Status-Status} ${Architecture} ${Package}\n')
    missing=()
    for package in "$@"; do
        grep -qxE "installed ($here|all) ${package//./\\.}" <<<"$installed" || missing+=("$package")
    done
}

as_root=()
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Installs `missing`; the log says why if it can't.
install_missing() {
    "${as_root[@]}" apt-get update >"$log" 2>&1 || return
    local there
    there=$(apt-cache policy libgstreamer1.0-dev | sed -n 's/^ *Candidate: //p')
    [ "$there" = "(none)" ] || dpkg --compare-versions "${there:-$gstreamer}" ge "$gstreamer" || too_old "${there%%-*}"
    echo "Installing: ${missing[*]}"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends "${missing[@]}" >"$log" 2>&1
}

[ "$(id -u)" -eq 0 ] || as_root=(sudo)

find_missing "${wanted[@]}"
if [ ${#missing[@]} -ne 0 ]; then
    if [ ${#as_root[@]} -ne 0 ] && ! command -v sudo >/dev/null; then
        echo "There is no sudo. Run this as root, then try again:" >&2
        echo "  apt-get update && apt-get install -y --no-install-recommends ${missing[*]}" >&2
        exit 1
    fi
    if ! install_missing; then
        tail -n 20 "$log" >&2
        echo "apt-get could not install them; its last lines are above." >&2
        exit 1
    fi
fi

if [ "$1" = test ] && ! command -v chromedriver >/dev/null; then
    find_missing "${browser[@]}"
    if [ "$(. /etc/os-release && echo "${ID:-}")" != debian ] || ! install_missing; then
        echo "Chromium could not be installed; the tests of the recorder's page will be skipped."
    fi
fi

# axe-core looks for what keeps people from using that page. Debian has no package of it; a wheel has.
axe_wheel='axe-playwright-python==0.1.8 --hash=sha256:fdd263c998388f1a8e67cad02677e612d946248bd44d163be5e8650ea31f95f8'
fetch_axe() {
    folder=${CARGO_TARGET_DIR:-$(dirname "$0")/../target}/axe
    [ ! -s "$folder/axe.min.js" ] || return 0
    mkdir -p "$folder"
    echo "$axe_wheel" >"$folder/requirements.txt"
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes --dest "$folder" \
        --requirement "$folder/requirements.txt" &&
        python3 -c 'import sys, zipfile
folder, wheel = sys.argv[1:]
script = zipfile.ZipFile(wheel).read("axe_playwright_python/axe.min.js")
open(f"{folder}/axe.min.js", "wb").write(script)' "$folder" "$folder"/*.whl
}
if [ "$1" = test ] && command -v chromedriver >/dev/null && ! fetch_axe >"$log" 2>&1; then
    tail -n 3 "$log"
    echo "axe-core could not be fetched; the recorder's page is tested without it."
fi

# It may have been installed by other means.
pkg-config --exists "gstreamer-1.0 >= $gstreamer" || too_old "$(pkg-config --modversion gstreamer-1.0 2>&1)"
