// SPDX-License-Identifier: MIT OR Apache-2.0

fn main() {
    // The plugin's entry points and the MPP's functions come along with the crates that are linked.
    // A library that is preloaded into any program must export what it answers for and no more.
    println!("cargo:rustc-cdylib-link-arg=-Wl,--exclude-libs,ALL");
    println!("cargo:rerun-if-changed=build.rs");
}
