#!/usr/bin/env bash
# Builds the Debian packages from a copy of what git knows, so that nothing in the tree changes. They are left
# in target/deb. Cargo goes by the times of files, so the copy keeps them.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
result=$CARGO_TARGET_DIR/deb
tree=$result/tree/gst-plugin-kendryte
rm -rf "$result"
mkdir -p "$tree"
git ls-files -z | xargs -0 cp --parents --no-dereference --preserve=timestamps -t "$tree"
if [ -d vendor ]; then
    ln -s "$PWD/vendor" "$tree/vendor"
fi
# -d: cargo is from rustup, which dpkg does not know.
(cd "$tree" && dpkg-buildpackage --build=binary --no-sign -d)
mv "$result"/tree/*.deb "$result"/
rm -rf "$result/tree"
ls -l "$result"
