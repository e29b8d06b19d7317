//! `cargo xtask test`: everything that must hold, in one command.

fn main() {}
