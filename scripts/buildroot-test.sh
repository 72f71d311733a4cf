#!/usr/bin/env bash
# Checks packaging/buildroot with Buildroot's own tools, as far as it goes without building an image: its style, that it
# can be selected for a K230, and what it would do then.
#
#   scripts/buildroot-test.sh BUILDROOT      a tree of Buildroot 2025.02 or newer; its check-package needs python3-magic
set -euo pipefail
external=$(realpath "$(dirname "$0")/../packaging/buildroot")
cd "${1:?usage: $0 BUILDROOT}"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# The system's Python has the system's packages.
mapfile -t files < <(find "$external" -type f)
/usr/bin/python3 utils/check-package -b "${files[@]}"

# What k230_linux_sdk's k230_canmv_defconfig says of the processor, with the plugin.
cat >"$scratch/defconfig" <<'CONFIG'
BR2_riscv=y
BR2_RISCV_ISA_RVC=y
BR2_RISCV_ISA_RVV=y
BR2_TOOLCHAIN_BUILDROOT_GLIBC=y
BR2_TOOLCHAIN_BUILDROOT_CXX=y
BR2_PACKAGE_GSTREAMER1=y
BR2_PACKAGE_GST_PLUGIN_KENDRYTE=y
CONFIG
make -s O="$scratch" BR2_EXTERNAL="$external" BR2_DEFCONFIG="$scratch/defconfig" defconfig >/dev/null
cd "$scratch"
grep -x BR2_PACKAGE_GST_PLUGIN_KENDRYTE=y .config
make -s printvars VARS='GST_PLUGIN_KENDRYTE_CONF_OPTS GST_PLUGIN_KENDRYTE_FINAL_DEPENDENCIES RUST_VERSION' |
    tee variables
grep -q -e '-Dcargo_target=riscv64gc-unknown-linux-gnu' variables
