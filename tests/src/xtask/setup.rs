//! Installing what the machine lacks: Debian packages, Python and Node clients, Java.
//!
//! Each part does nothing, in milliseconds, where all of it is there. Versions are pinned in the
//! files beside the checks (`tests/clients/`). Nothing is installed into the repository.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::command::{command, quiet};
use super::lanes::show;
use super::{Tally, Workshop, go, wasm};

/// Tries of an apt command before it is called failed: another process may hold its locks, and
/// apt's own waiting does not cover the lock on the package lists.
const APT_TRIES: u32 = 6;

/// Pause between two tries, in seconds.
const APT_PAUSE_S: u64 = 5;

/// Installs every part.
///
/// # Errors
///
/// The first part that could not be installed; the others are tried all the same.
pub fn everything(workshop: &Workshop) -> Result<Tally, String> {
    let parts = [
        python(workshop, "old").map(drop),
        python(workshop, "new").map(drop),
        python(workshop, "groups").map(drop),
        kcat(workshop),
        node_modules(workshop).map(drop),
        java(workshop).map(drop),
        wasm::sysroot(workshop).map(drop),
    ];
    let built = go::ALL
        .iter()
        .map(|program| program.build(workshop).map(drop));
    let parts: Vec<_> = parts.into_iter().chain(built).collect();
    parts.into_iter().collect::<Result<Vec<()>, String>>()?;
    Ok(Tally::default())
}

/// kcat, the command line client on librdkafka.
///
/// # Errors
///
/// apt's.
pub fn kcat(workshop: &Workshop) -> Result<(), String> {
    debian(workshop, &["kcat"])
}

/// A Python interpreter that has the packages of `tests/clients/requirements-NAME.txt`.
///
/// # Errors
///
/// apt's or pip's.
pub fn python(workshop: &Workshop, name: &str) -> Result<PathBuf, String> {
    debian(workshop, &["python3", "python3-venv"])?;
    let requirements = workshop.tests(&format!("clients/requirements-{name}.txt"));
    let folder = workshop.cache.join(format!("python-{name}"));
    once(workshop, &folder, &[&requirements], |folder| {
        quiet(
            command(workshop, 120, "/usr/bin/python3")
                .args(["-m", "venv"])
                .arg(folder),
        )?;
        let mut pip = command(workshop, 600, folder.join("bin/pip"));
        pip.args([
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--requirement",
        ]);
        quiet(pip.arg(&requirements)).map(drop)
    })?;
    Ok(folder.join("bin/python"))
}

/// Node and its package manager.
///
/// # Errors
///
/// apt's.
pub fn node(workshop: &Workshop) -> Result<(), String> {
    if is_on_path("node") && is_on_path("npm") {
        return Ok(());
    }
    debian(workshop, &["nodejs", "npm"])
}

/// The folder of Node packages of `tests/clients/package-lock.json`, for `NODE_PATH`.
///
/// # Errors
///
/// apt's or npm's.
pub fn node_modules(workshop: &Workshop) -> Result<PathBuf, String> {
    node(workshop)?;
    let inputs = [
        workshop.tests("clients/package.json"),
        workshop.tests("clients/package-lock.json"),
    ];
    let folder = workshop.cache.join("node");
    once(workshop, &folder, &[&inputs[0], &inputs[1]], |folder| {
        for input in &inputs {
            let name = input.file_name().expect("named above");
            fs::copy(input, folder.join(name)).map_err(|error| error.to_string())?;
        }
        let mut npm = command(workshop, 300, "npm");
        npm.args(["ci", "--no-audit", "--no-fund", "--loglevel=error"])
            .current_dir(folder);
        quiet(&mut npm).map(drop)
    })?;
    Ok(folder.join("node_modules"))
}

/// The folder of Apache Kafka's own jars, as `tests/clients/java/pom.xml` names them.
///
/// # Errors
///
/// apt's or Maven's.
pub fn java(workshop: &Workshop) -> Result<PathBuf, String> {
    if !is_on_path("javac") {
        debian(workshop, &["openjdk-17-jdk-headless"])?;
    }
    if !is_on_path("mvn") {
        debian(workshop, &["maven"])?;
    }
    let pom = workshop.tests("clients/java/pom.xml");
    let folder = workshop.cache.join("java");
    once(workshop, &folder, &[&pom], |folder| {
        fs::copy(&pom, folder.join("pom.xml")).map_err(|error| error.to_string())?;
        let mut maven = command(workshop, 600, "mvn");
        maven.args([
            "-q",
            "-B",
            "dependency:copy-dependencies",
            "-DoutputDirectory=lib",
        ]);
        quiet(maven.current_dir(folder)).map(drop)
    })?;
    Ok(folder.join("lib"))
}

/// The class path of a Java program: its classes, compiled when its source changed, and the jars.
///
/// # Errors
///
/// The compiler's.
pub fn java_classes(workshop: &Workshop, source: &Path) -> Result<OsString, String> {
    let jars = java(workshop)?.join("*");
    let name = source.file_stem().expect("a source has a name");
    let folder = workshop
        .cache
        .join(format!("classes-{}", name.to_string_lossy()));
    once(workshop, &folder, &[source], |folder| {
        let mut javac = command(workshop, 120, "javac");
        javac
            .arg("-cp")
            .arg(&jars)
            .arg("-d")
            .arg(folder)
            .arg(source);
        quiet(&mut javac).map(drop)
    })?;
    let mut class_path = folder.into_os_string();
    class_path.push(":");
    class_path.push(jars);
    Ok(class_path)
}

/// Installs the Debian packages that are missing.
///
/// # Errors
///
/// apt failed in every try, or this user may not install.
pub fn debian(workshop: &Workshop, packages: &[&str]) -> Result<(), String> {
    let missing = |package: &&&str| !is_installed(package);
    if !packages.iter().any(|package| missing(&package)) {
        return Ok(());
    }
    let _lock = lock(workshop, "apt")?;
    let wanted: Vec<&str> = packages.iter().filter(missing).copied().collect();
    show(format_args!("apt: {}", wanted.join(" ")));
    let apt = |arguments: &[&str]| {
        let mut apt = command(workshop, 900, "apt-get");
        apt.args([
            "-qq",
            "-o",
            "DPkg::Lock::Timeout=300",
            "-o",
            "Acquire::Retries=3",
        ]);
        quiet(apt.args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    let mut outcome = Ok(());
    for attempt in 1..=APT_TRIES {
        let install = [
            &["install", "-y", "--no-install-recommends"],
            wanted.as_slice(),
        ]
        .concat();
        outcome = apt(&["update"]).and_then(|_| apt(&install)).map(drop);
        if outcome.is_ok() {
            break;
        }
        show(format_args!("apt: try {attempt} of {APT_TRIES} failed"));
        thread::sleep(Duration::from_secs(APT_PAUSE_S));
    }
    outcome
}

/// Fills a folder of the cache, unless it was filled from the same inputs before.
///
/// # Errors
///
/// Those of `fill`; the folder is then filled anew next time.
pub fn once(
    workshop: &Workshop,
    folder: &Path,
    inputs: &[&Path],
    fill: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<(), String> {
    let mut key = String::new();
    for input in inputs {
        let text = fs::read_to_string(input);
        key += &text.map_err(|error| format!("{}: {error}", input.display()))?;
    }
    let stamp = folder.join("complete");
    let is_complete = || fs::read_to_string(&stamp).is_ok_and(|text| text == key);
    if is_complete() {
        return Ok(());
    }
    let name = folder
        .file_name()
        .expect("a folder of the cache has a name");
    let _lock = lock(workshop, &name.to_string_lossy())?;
    if is_complete() {
        return Ok(());
    }
    show(format_args!("installing: {}", name.display()));
    let problem = |error: std::io::Error| format!("{}: {error}", folder.display());
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(problem)?;
    }
    fs::create_dir_all(folder).map_err(problem)?;
    fill(folder)?;
    fs::write(&stamp, &key).map_err(problem)
}

/// Waits for the exclusive lock of a name: two runs on one machine share the cache.
fn lock(workshop: &Workshop, name: &str) -> Result<File, String> {
    fs::create_dir_all(&workshop.cache)
        .and_then(|()| File::create(workshop.cache.join(format!("{name}.lock"))))
        .and_then(|file| file.lock().map(|()| file))
        .map_err(|error| format!("lock of {name}: {error}"))
}

fn is_installed(package: &str) -> bool {
    let mut query = Command::new("dpkg-query");
    query.args(["-W", "-f=${db:Status-Status}", package]);
    query
        .output()
        .is_ok_and(|output| output.stdout == b"installed")
}

fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
