//! The WebAssembly build, and running it under Node.
//!
//! A rustup toolchain with the wasm32 target is used as it is. Where there is none: Debian's rustc
//! and its standard library, built once from source into the cache. Nothing unstable touches our
//! own code: only that one build of `std` does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use super::command::{cargo, command, quiet, run};
use super::{Tally, Workshop, clients, setup};

const TARGET: &str = "wasm32-unknown-unknown";

/// Debian's compiler and its linker; the number is that of its LLVM.
const DEBIAN: &[&str] = &["rustc-web", "rust-web-src", "lld-22"];
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_LINKER: &str = "wasm-ld-22";

/// Held while Debian's is looked for: the step that installs runs beside the one that builds.
static FINDING: Mutex<()> = Mutex::new(());

/// Seeds whose hash under Node must be the native one.
const SEEDS: u32 = 20;

/// Of these, seeds that run without optimisation too, where each takes seconds.
const DEBUG_SEEDS: u32 = 3;

/// An empty crate: its build leaves the standard library behind.
const STUB: &str = "\
[package]
name = \"stub\"
version = \"0.0.0\"
edition = \"2021\"
[lib]
path = \"stub.rs\"
[workspace]
[profile.release]
opt-level = \"s\"
";

/// A standard library for wasm32.
#[derive(Clone, Debug)]
pub enum Sysroot {
    /// The toolchain that runs us has it.
    Own,
    /// The one built from Debian's source, in this folder.
    Debian(PathBuf),
}

/// Finds a standard library for wasm32, or builds it.
///
/// # Errors
///
/// apt's, or the build's.
pub fn sysroot(workshop: &Workshop) -> Result<Sysroot, String> {
    let own = quiet(command(workshop, 30, "rustc").args(["--print", "sysroot"]))?;
    if has_std(
        &Path::new(own.trim())
            .join("lib/rustlib")
            .join(TARGET)
            .join("lib"),
    ) {
        return Ok(Sysroot::Own);
    }
    let _alone = FINDING.lock().expect("nobody panics holding it");
    setup::debian(workshop, DEBIAN)?;
    let version = quiet(command(workshop, 30, DEBIAN_RUSTC).arg("-vV"))?;
    let input = workshop.cache.join("rustc-version");
    fs::write(&input, version).map_err(|error| error.to_string())?;
    let folder = workshop.cache.join("wasm-sysroot");
    setup::once(workshop, &folder, &[&input], |folder| {
        build_std(workshop, folder)
    })?;
    Ok(Sysroot::Debian(folder))
}

fn has_std(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else {
        return false;
    };
    entries
        .flatten()
        .any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
}

fn build_std(workshop: &Workshop, folder: &Path) -> Result<(), String> {
    let stub = folder.join("stub");
    let library = folder.join("lib/rustlib").join(TARGET).join("lib");
    let problem = |error: std::io::Error| error.to_string();
    fs::create_dir_all(&stub).map_err(problem)?;
    fs::create_dir_all(&library).map_err(problem)?;
    fs::write(stub.join("Cargo.toml"), STUB).map_err(problem)?;
    fs::write(stub.join("stub.rs"), "").map_err(problem)?;
    let mut build = cargo(
        workshop,
        600,
        &["build", "--quiet", "--release", "--target", TARGET],
    );
    build.arg("-Zbuild-std=std,panic_abort").current_dir(&stub);
    build
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("CARGO_BUILD_TARGET");
    build.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1");
    // Bitcode is what link-time optimisation reads; cargo leaves it out by default.
    build.env("RUSTFLAGS", "-Cembed-bitcode=yes -Cstrip=debuginfo");
    quiet(&mut build)?;
    let built = stub.join("target").join(TARGET).join("release/deps");
    for entry in fs::read_dir(built).map_err(problem)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".rlib") && !name.starts_with("libstub-") {
            fs::copy(entry.path(), library.join(name)).map_err(problem)?;
        }
    }
    fs::remove_dir_all(stub).map_err(problem)
}

/// Points a cargo command at the compiler that has the standard library.
fn aim(build: &mut Command, sysroot: &Sysroot) {
    if let Sysroot::Debian(folder) = sysroot {
        let flags = format!("--sysroot={}", folder.display());
        build.env("RUSTC", DEBIAN_RUSTC);
        build.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", DEBIAN_LINKER);
        build.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", flags);
    }
}

/// Builds the module alone; returns its file.
///
/// # Errors
///
/// The build's.
pub fn module(workshop: &Workshop) -> Result<PathBuf, String> {
    let sysroot = sysroot(workshop)?;
    let mut build = cargo(workshop, 1200, &["build", "--quiet", "--profile", "wasm"]);
    build.args(["--target", TARGET, "--package", "ottla-web"]);
    aim(&mut build, &sysroot);
    quiet(&mut build)?;
    Ok(workshop.target.join(TARGET).join("wasm/ottla_web.wasm"))
}

/// Builds the module with its JavaScript for `target` (`nodejs` or `web`); returns the folder.
///
/// # Errors
///
/// A build's.
pub fn build(workshop: &Workshop, target: &str) -> Result<PathBuf, String> {
    let module = module(workshop)?;
    let folder = workshop.target.join(format!("wasm-{target}"));
    let mut bindgen = cargo(
        workshop,
        600,
        &["run", "--quiet", "--package", "ottla-tests"],
    );
    bindgen.args(["--features", "bindgen", "--bin", "bindgen", "--"]);
    quiet(bindgen.arg(module).arg(&folder).arg(target))?;
    let size = fs::metadata(folder.join("ottla_web_bg.wasm")).map_err(|error| error.to_string())?;
    println!("ottla_web_bg.wasm: {} KiB", size.len() / 1024);
    Ok(folder)
}

/// The module under Node agrees with the native build.
///
/// # Errors
///
/// A build's, or Node's.
pub fn check(workshop: &Workshop) -> Result<Tally, String> {
    setup::node(workshop)?;
    let folder = build(workshop, "nodejs")?;
    let mut node = command(workshop, 300, "node");
    node.arg(workshop.tests("web/node.js"))
        .arg(folder.join("ottla_web.js"));
    node.arg(env!("CARGO_PKG_VERSION"));
    let mut tally = Tally::default();
    for seed in 1..=SEEDS {
        let hash = native_hash(workshop, seed)?;
        if seed <= DEBUG_SEEDS {
            tally.add(hash_of_this_build(seed, &hash));
        }
        node.arg(format!("{seed}={hash}"));
    }
    tally.add(run(&mut node)?);
    Ok(tally)
}

/// The same world in this program, which cargo built without optimisation.
fn hash_of_this_build(seed: u32, wanted: &str) -> Tally {
    let hash = format!("{:032x}", ottla_core::sim::run_seed(u64::from(seed)).hash);
    if hash == wanted {
        Tally::counted(1, 0)
    } else {
        clients::failure(format!(
            "seed {seed}: {hash} in this build, {wanted} optimised"
        ))
    }
}

/// What the native simulator says of a seed.
fn native_hash(workshop: &Workshop, seed: u32) -> Result<String, String> {
    let seed = seed.to_string();
    let text = quiet(simulator(workshop, 900).args(["run", "--seed", &seed]))?;
    let mut words = text.split_whitespace();
    let hash = words.find_map(|word| word.strip_prefix("hash="));
    hash.map(str::to_owned)
        .ok_or_else(|| format!("ottla-sim told no hash of seed {seed}"))
}

/// `ottla-sim`, optimised and with every assertion, built where it is not. It can be made wrong, so
/// that one build serves worlds and mutants; the module under Node cannot, and must do the same.
pub(super) fn simulator(workshop: &Workshop, limit_s: u32) -> Command {
    let mut simulator = cargo(workshop, limit_s, &["run", "--quiet", "--profile", "sim"]);
    simulator.args(["--package", "ottla-tests", "--features", "mutants"]);
    simulator.args(["--bin", "ottla-sim", "--"]);
    simulator
}
