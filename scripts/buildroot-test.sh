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

# What it would run. Of a variable that is set twice the last one counts, which is not Buildroot's own LTO.
make -s printvars PKG=GST_PLUGIN_KENDRYTE \
    VARS='GST_PLUGIN_KENDRYTE_CONFIGURE_CMDS GST_PLUGIN_KENDRYTE_BUILD_CMDS GST_PLUGIN_KENDRYTE_INSTALL_TARGET_CMDS' >commands
grep -q -e 'meson .*--cross-file=.* -Dplugindir=lib/gstreamer-1.0 ' commands
grep -q -e 'CARGO_BUILD_TARGET="riscv64gc-unknown-linux-gnu" .* CARGO_PROFILE_RELEASE_LTO=thin .*/ninja ' commands
if grep -q -e 'CARGO_PROFILE_RELEASE_LTO=thin .*CARGO_PROFILE_RELEASE_LTO=' commands; then exit 1; fi
grep -q -e 'DESTDIR=.*/target .*/ninja .* install' commands
