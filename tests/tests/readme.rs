//! The README's table of clients is made from results, not written by hand.

use ottla_tests::xtask::{Workshop, results};

#[test]
fn the_table_of_clients_is_made_from_the_results() {
    let is_current = results::readme_is_current(&Workshop::here());
    assert_eq!(is_current, Ok(true), "run `cargo xtask table`");
}
