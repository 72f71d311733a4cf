#!/usr/bin/env bash
# Runs a command in this tree on another Debian: in a chroot that debootstrap makes at first.
#
#   scripts/chroot.sh SUITE ARCH COMMAND [ARGUMENT...]     scripts/chroot.sh trixie amd64 make test
#
# The tree and what cargo has downloaded are seen there read-only, at the same paths; what is built goes to
# /target/SUITE-ARCH, which all chroots share. Chroots and builds are kept in $CHROOTS, and are safe to delete.
#
#   CHROOTS   where they are kept; ~/.cache/gst-plugin-kendryte
#   MIRROR    where Debian's packages come from; debootstrap's own choice
#   RUST      whose Rust is there: host (this machine's), own (the chroot's packages), none, or another chroot
#             such as sid-amd64, which is seen at /rust; host if it runs there, else own
set -euo pipefail
cd "$(dirname "$0")/.."
tree=$PWD

if [ $# -lt 3 ]; then
    echo "usage: $0 SUITE ARCH COMMAND [ARGUMENT...]" >&2
    exit 2
fi
suite=$1 arch=$2
shift 2

chroots=${CHROOTS:-${XDG_CACHE_HOME:-$HOME/.cache}/gst-plugin-kendryte}
mirror=${MIRROR:-}
root=$chroots/$suite-$arch

as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)

if ! command -v debootstrap >/dev/null; then
    echo "debootstrap is needed: apt-get install debootstrap (and, on Ubuntu, debian-archive-keyring)." >&2
    exit 1
fi

# Debian's own compiler is too old in some suites, so this machine's is taken along. It runs wherever its own
# architecture's programs do; elsewhere the suite's packages have to be new enough.
host=$(rustc -vV | sed -n 's/^host: //p')
sysroot=$(rustc --print sysroot)
tools=()
case $arch in
    amd64) target=x86_64-unknown-linux-gnu ;;
    arm64) target=aarch64-unknown-linux-gnu ;;
    riscv64) target=riscv64gc-unknown-linux-gnu ;;
    i386) target=i686-unknown-linux-gnu ;;
    *)
        echo "Which of Rust's targets $arch is, $0 does not know." >&2
        exit 2
        ;;
esac
rust=${RUST:-own}
[ "$host" != "$target" ] || [ "$sysroot" = /usr ] || rust=${RUST:-host}
case $rust in
    own | none) ;;
    *)
        # Cargo needs no more than to run; rustc is the other chroot's if one is named.
        tools+=("$sysroot")
        nextest=$(command -v cargo-nextest || true)
        ;;
esac

# What cargo has is seen read-only from inside, so it has to be complete.
[ "$rust" = none ] || cargo fetch --quiet --locked --target "$target"
registry=${CARGO_HOME:-$HOME/.cargo}/registry

# Where this machine is behind a proxy with a certificate of its own, only this machine knows that one.
certificates=/etc/ssl/certs/ca-certificates.crt
# A worktree's history is in another tree.
history=$(git rev-parse --path-format=absolute --git-common-dir 2>/dev/null || true)

case $(dpkg --print-architecture 2>/dev/null)-$arch in
    "$arch-$arch" | amd64-i386) ;;
    *) scripts/emulate.sh "$arch" ;;
esac

if [ ! -e "$root" ]; then
    echo "Making a chroot of Debian $suite for $arch in $root"
    "${as_root[@]}" rm -rf "$root.partial"
    "${as_root[@]}" mkdir -p "$chroots/target"
    log=$(mktemp)
    if ! "${as_root[@]}" debootstrap --variant=minbase --arch="$arch" --include=ca-certificates,make \
        "$suite" "$root.partial" ${mirror:+"$mirror"} >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        echo "debootstrap failed; its last lines are above, all of them in $log." >&2
        exit 1
    fi
    rm -f "$log"
    "${as_root[@]}" mv "$root.partial" "$root"
fi

# From here on as root, in a mount and a process namespace of its own: when the command ends, whatever it has
# left mounted or running ends too.
inside=$(
    cat <<'INSIDE'
set -euo pipefail
root=$1 tree=$2 registry=$3 targets=$4 nextest=$5 tool=$6 name=$7 rust=$8 certificates=$9
history=${10}
shift 10

# bind FROM [TO]: shows a file or directory of this machine in the chroot.
bind() {
    local to=$root${2:-$1}
    if [ -d "$1" ]; then mkdir -p "$to"; else mkdir -p "${to%/*}" && { [ -e "$to" ] || : >"$to"; }; fi
    mount --bind "$1" "$to"
}
bind_read_only() {
    bind "$@"
    mount -o remount,bind,ro "$root${2:-$1}"
}

# A mount of its own, so that what runs inside can make mount namespaces of its own.
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
bind_read_only /etc/hosts
bind_read_only "$(realpath /etc/resolv.conf)" /etc/resolv.conf
bind_read_only "$tree"
case $history in "" | "$tree"/*) ;; *) bind_read_only "$history" ;; esac
bind_read_only "$registry" /var/cache/cargo/registry
bind "$targets" /target
path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
if [ -n "$tool" ]; then
    bind_read_only "$tool"
    path=$tool/bin:$path
fi
case $rust in host | own | none) ;; *) bind_read_only "${root%/*}/$rust" /rust ;; esac
# Beside the chroot's own, which what is tested there goes by: pip alone is told of them.
pip=()
if [ -s "$certificates" ]; then
    bind_read_only "$certificates" /etc/ssl/certificates-outside.crt
    pip=(PIP_CERT=/etc/ssl/certificates-outside.crt)
fi
if [ -n "$nextest" ]; then
    bind_read_only "$nextest" /usr/local/bin/cargo-nextest
fi

in_chroot=(chroot "$root" /usr/bin/env -i PATH="$path" HOME=/root TERM="${TERM:-dumb}" LANG=C.UTF-8
    DEBIAN_FRONTEND=noninteractive CARGO_HOME=/var/cache/cargo CARGO_NET_OFFLINE=true CARGO_TERM_COLOR=never
    CARGO_INCREMENTAL=0 CARGO_TARGET_DIR="/target/$name"
    CI="${CI:-}" "${pip[@]}"
    GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*')

# Nothing may start a service. A mirror may be one that stands still.
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod +x "$root/usr/sbin/policy-rc.d"
echo 'Acquire::Check-Valid-Until "false";' >"$root/etc/apt/apt.conf.d/90any-age"
# Nothing here outlives a crash: dpkg need not wait for the disk.
echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/unsafe-io"
# A week old, it is brought up to date.
if [ -n "$(find "$root/var/lib/apt/lists" -maxdepth 0 -mtime +7)" ]; then
    "${in_chroot[@]}" sh -c 'apt-get update && apt-get full-upgrade -y' >/dev/null
    touch "$root/var/lib/apt/lists"
fi
if [ "$rust" = own ] && ! chroot "$root" sh -c 'command -v cargo' >/dev/null; then
    "${in_chroot[@]}" sh -c 'apt-get update && apt-get install -y --no-install-recommends rustc cargo' >/dev/null
fi

# This shell stays, as the namespace's first process: it reaps what loses its parent.
status=0
"${in_chroot[@]}" sh -c 'cd "$1" && shift && exec "$@"' sh "$tree" "$@" || status=$?
exit "$status"
INSIDE
)
"${as_root[@]}" unshare --mount --propagation private --pid --fork --kill-child \
    bash -c "$inside" chroot.sh "$root" "$tree" "$registry" "$chroots/target" "${nextest:-}" "${tools[0]:-}" \
    "$suite-$arch" "$rust" "$certificates" "$history" "$@"
