//! The page that documents every configuration, made from the table.
//!
//! Text only; where it is written is the command line's business.

use std::fmt::Write;

use super::definition::{Default, Definition, Effect, Importance, Scope, Update};
use super::table;

/// The reference page in Markdown: one table a scope, and what the columns mean.
#[must_use]
pub fn reference_markdown() -> String {
    let mut page = String::from(
        "# Configuration reference\n\n\
         Names, types, defaults and bounds are those of Apache Kafka 4.3, and a \
         `server.properties` of Kafka works as it is. The column *effect* says what Ottla does \
         with a configuration: \
         **active** ones do what is written here, **later** ones are checked and stored for a part \
         that is still to come, and **none** means that it is checked, stored and otherwise \
         ignored. *Update* says whether it may change while the broker runs.\n",
    );
    for (scope, title) in [
        (Scope::Broker, "Broker"),
        (Scope::Topic, "Topic"),
        (Scope::Group, "Group"),
        (Scope::ClientMetrics, "Client metrics subscription"),
    ] {
        write_table(&mut page, scope, title);
    }
    page
}

fn write_table(page: &mut String, scope: Scope, title: &str) {
    let mut line = |text: String| {
        page.push_str(&text);
        page.push('\n');
    };
    line(format!("\n## {title}\n"));
    line(
        "| name | meaning | type and bounds | default | importance | update | effect |".to_owned(),
    );
    line("|---|---|---|---|---|---|---|".to_owned());
    for definition in table::all(scope).into_iter().filter(|d| !d.internal) {
        let mut row = String::new();
        write_row(&mut row, definition).expect("a String takes any text");
        line(row);
    }
}

fn write_row(row: &mut String, definition: &Definition) -> std::fmt::Result {
    let default = match definition.default {
        Default::Null => "null".to_owned(),
        Default::Text("") => "(empty)".to_owned(),
        Default::Text(text) => format!("`{text}`"),
    };
    let importance = match definition.importance {
        Importance::High => "high",
        Importance::Low => "low",
        Importance::Medium => "medium",
    };
    let update = match definition.update {
        Update::ClusterWide => "cluster-wide",
        Update::PerBroker => "per broker",
        Update::ReadOnly => "read-only",
    };
    let effect = match definition.effect {
        Effect::Active => "active",
        Effect::Later => "later",
        Effect::None => "none",
    };
    write!(
        row,
        "| `{}` | {} | {} | {default} | {importance} | {update} | {effect} |",
        definition.name,
        definition.doc.replace('|', "\\|"),
        definition.expectation().replace('|', "\\|"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_configuration_has_its_row() {
        let page = reference_markdown();
        let row = "| `num.partitions` | Partitions of a topic whose creator leaves the number to \
                   the broker. | int, at least 1 | `1` | medium | read-only | active |";
        assert!(page.contains(row));
        assert!(page.contains("| `retention.ms` |"));
        assert!(!page.contains("unstable.api.versions.enable"));
    }
}
