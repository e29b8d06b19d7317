//! The README's table of clients is made from results, and the page of configurations from their
//! table: neither is written by hand.

use ottla_core::config::reference_page::reference_markdown;
use ottla_tests::xtask::{Workshop, results};

#[test]
fn the_table_of_clients_is_made_from_the_results() {
    let is_current = results::readme_is_current(&Workshop::here());
    assert_eq!(is_current, Ok(true), "run `cargo xtask table`");
}

#[test]
fn the_page_of_configurations_is_their_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../native/CONFIGURATION.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, reference_markdown()).expect("the repository can be written");
    }
    let page = std::fs::read_to_string(path).expect("the page is there");
    let is_current = page == reference_markdown();
    assert!(is_current, "native/CONFIGURATION.md: UPDATE=1 writes it");
}
