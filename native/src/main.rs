//! The `ottla` binary: broker and tools.

fn main() {}
