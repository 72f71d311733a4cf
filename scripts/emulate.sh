#!/usr/bin/env bash
# Has the kernel run programs of another architecture by qemu-user, in chroots too.
#
#   scripts/emulate.sh arm64|riscv64
set -euo pipefail
case ${1:-} in
    arm64) cpu=aarch64 ;;
    riscv64) cpu=riscv64 ;;
    *)
        echo "usage: $0 arm64|riscv64" >&2
        exit 2
        ;;
esac
entries=/proc/sys/fs/binfmt_misc
as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)
[ ! -e "$entries/qemu-$cpu" ] || exit 0

if ! command -v "qemu-$cpu-static" >/dev/null || ! command -v update-binfmts >/dev/null; then
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        qemu-user-static binfmt-support >/dev/null
fi
[ -e "$entries/register" ] || "${as_root[@]}" mount -t binfmt_misc none "$entries"
# Where no service has done it.
[ -e "$entries/qemu-$cpu" ] || "${as_root[@]}" update-binfmts --enable "qemu-$cpu"
