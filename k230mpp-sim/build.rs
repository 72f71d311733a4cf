// SPDX-License-Identifier: MIT OR Apache-2.0

fn main() {
    // The plugin's entry points come along with the plugin's crate; a library that is not a plugin
    // must not export them.
    println!("cargo:rustc-cdylib-link-arg=-Wl,--exclude-libs,libgstkendryte.rlib");
    println!("cargo:rerun-if-changed=build.rs");
}
