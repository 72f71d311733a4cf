#!/usr/bin/env bash
# Builds the Debian packages from a copy of what git knows, so that nothing in the tree changes. They are left
# in target/deb, or in target/deb-ARCH for another architecture.
#
#   scripts/deb.sh [ARCH]        ARCH: this machine's (default), arm64 or riscv64
#
# DEB_BUILD_PROFILES=pkg.gst-plugin-kendryte.norecorder leaves the recorder out, which takes as long as the rest.
#
# Those of another architecture are cross-built in a chroot of the oldest Debian that has it, with Debian's cross
# compiler and libraries. rustup's mirrors have Rust's library for them, Debian unstable has it as well: its
# rustc is run from a chroot of its own (scripts/chroot.sh says where these are).
set -euo pipefail
cd "$(dirname "$0")/.."

# In unstable's chroot, as root: its rustc, and the library for another architecture. That one is unpacked, not installed:
# its dependencies need not be there in the versions of this architecture's, which are built at other times.
if [ "${1:-}" = --rust ]; then
    arch=$2 triple=$3
    dpkg --add-architecture "$arch"
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends rustc >/dev/null
    version=$(dpkg-query --show --showformat='${Version}' libstd-rust-dev:amd64)
    cd "$(mktemp -d)"
    apt-get -o APT::Sandbox::User=root download -qq "libstd-rust-dev:$arch=$version"
    rm -rf "/usr/lib/rustlib/$triple"
    dpkg-deb --extract ./*.deb /
    rm -r "$PWD"
    exit
fi

# In the chroot, as root: SOURCE holds a copy of the tree.
if [ "${1:-}" = --inside ]; then
    arch=$2 source=$3
    export DEB_BUILD_PROFILES=$4
    dpkg --add-architecture "$arch"
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends dpkg-dev debhelper "crossbuild-essential-$arch" >/dev/null
    cd "$source"
    apt-get build-dep -y -qq --no-install-recommends --host-architecture "$arch" . >/dev/null
    # The other chroot's rustc with that chroot's libraries: they may be newer than those here.
    rustc=/usr/local/bin/rustc-of-another-debian
    libraries=/rust/usr/lib/x86_64-linux-gnu
    printf '#!/bin/sh\nexec %s --library-path %s %s --sysroot /rust/usr "$@"\n' \
        "$libraries/ld-linux-x86-64.so.2" "$libraries" /rust/usr/bin/rustc >"$rustc"
    chmod +x "$rustc"
    export RUSTC=$rustc DEB_BUILD_OPTIONS="${DEB_BUILD_OPTIONS:-} nocheck"
    exec dpkg-buildpackage --build=binary --no-sign -d --host-arch "$arch"
fi

here=$(dpkg --print-architecture)
arch=${1:-$here}
target=${CARGO_TARGET_DIR:-$PWD/target}

# copy DIRECTORY: Cargo goes by the times of files, so the copy keeps them.
copy() {
    rm -rf "$1"
    mkdir -p "$1"
    git ls-files -z | xargs -0 cp --parents --no-dereference --preserve=timestamps -t "$1"
    if [ -d vendor ]; then
        ln -s "$PWD/vendor" "$1/vendor"
    fi
}

if [ "$arch" = "$here" ]; then
    export CARGO_TARGET_DIR=$target
    result=$target/deb
    tree=$result/tree/gst-plugin-kendryte
    rm -rf "$result"
    copy "$tree"
    # -d: cargo is from rustup, which dpkg does not know.
    (cd "$tree" && dpkg-buildpackage --build=binary --no-sign -d)
    # Ubuntu's symbols are in a .ddeb.
    mv "$result"/tree/*deb "$result"/
    rm -rf "$result/tree"
    ls -l "$result"
    exit
fi

case $here-$arch in
    amd64-arm64) suite=bookworm triple=aarch64-unknown-linux-gnu ;;
    amd64-riscv64) suite=trixie triple=riscv64gc-unknown-linux-gnu ;;
    *)
        echo "$0: there is no cross-building from $here to $arch" >&2
        exit 2
        ;;
esac
cargo fetch --quiet --locked --target "$triple"
export CHROOTS=${CHROOTS:-${XDG_CACHE_HOME:-$HOME/.cache}/gst-plugin-kendryte}
RUST=host scripts/chroot.sh sid amd64 scripts/deb.sh --rust "$arch" "$triple"

result=$target/deb-$arch
# Both seen as /target inside.
build=$CHROOTS/target/deb-$arch
copy "$build/gst-plugin-kendryte"
RUST=sid-amd64 scripts/chroot.sh "$suite" amd64 scripts/deb.sh --inside "$arch" \
    "/target/deb-$arch/gst-plugin-kendryte" "${DEB_BUILD_PROFILES:-}"
rm -rf "$result"
mkdir -p "$result"
mv "$build"/*.deb "$result"/
rm -rf "$build"
ls -l "$result"
