//! Where things are: the repository, the build output, and what is kept between runs.
//!
//! Holds no path of any machine; all of them follow from the environment.

use std::env;
use std::path::{Path, PathBuf};

/// The folders that the steps work in.
#[derive(Clone, Debug)]
pub struct Workshop {
    /// The repository.
    pub root: PathBuf,
    /// cargo's output folder.
    pub target: PathBuf,
    /// Installed clients, the wasm standard library and Kafka's jars; survives `cargo clean`.
    pub cache: PathBuf,
}

impl Workshop {
    /// The workshop of this checkout.
    ///
    /// `OTTLA_TEST_CACHE` names the cache; otherwise it lies in the user's cache folder.
    ///
    /// # Panics
    ///
    /// When neither `OTTLA_TEST_CACHE`, `XDG_CACHE_HOME` nor `HOME` is set.
    #[must_use]
    pub fn here() -> Self {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = tests
            .parent()
            .expect("tests/ lies in the repository")
            .to_path_buf();
        let target = env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| root.join("target"), |dir| root.join(PathBuf::from(dir)));
        let cache = env::var_os("OTTLA_TEST_CACHE")
            .map(PathBuf::from)
            .or_else(|| env::var_os("XDG_CACHE_HOME").map(|dir| Path::new(&dir).join("ottla")))
            .or_else(|| env::var_os("HOME").map(|dir| Path::new(&dir).join(".cache/ottla")))
            .expect("OTTLA_TEST_CACHE, XDG_CACHE_HOME or HOME is set");
        Self {
            root,
            target,
            cache,
        }
    }

    /// The released broker.
    #[must_use]
    pub fn release_binary(&self) -> PathBuf {
        self.target.join("release/ottla")
    }

    /// A file or folder of `tests/`.
    #[must_use]
    pub fn tests(&self, path: &str) -> PathBuf {
        self.root.join("tests").join(path)
    }
}
