//! Directories that are formatted before a broker starts on them, by this build or by Kafka.

mod broker;
mod tool;

use std::path::Path;

use broker::Broker;
use tool::{folder, ottla, run, said};

#[test]
fn a_formatted_directory_starts_and_is_told() {
    let folder = folder("storage");
    let properties = folder.join("server.properties");
    let data = folder.join("data");
    let text = format!(
        "node.id=1\nlog.dirs={}\nlisteners=PLAINTEXT://127.0.0.1:0\n",
        data.display()
    );
    std::fs::write(&properties, text).expect("the folder is ours");
    let config = properties.display().to_string();
    let storage = |args: &[&str]| run(&mut ottla(&[&["storage"][..], args].concat()), "");
    let info = storage(&["info", "-c", &config]);
    let text = String::from_utf8_lossy(&info.stdout).into_owned();
    assert!(text.contains("does not exist"), "{text}");
    assert_eq!(info.status.code(), Some(1));
    let id = said(&["storage", "random-uuid"], "");
    let id = id.trim();
    let format = ["format", "--standalone", "-c", &config, "-t", id];
    let formatted = storage(&format);
    let text = String::from_utf8_lossy(&formatted.stdout).into_owned();
    assert!(
        text.starts_with("Formatting dynamic metadata voter directory"),
        "{text}"
    );
    assert_eq!(formatted.status.code(), Some(0));
    let again = storage(&format);
    let text = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(
        text.contains("is already formatted. Use --ignore-formatted"),
        "{text}"
    );
    let ignored = storage(&[&format[..], &["-g"]].concat());
    assert_eq!(
        String::from_utf8_lossy(&ignored.stdout),
        "All of the log directories are already formatted.\n"
    );
    let told = said(&["storage", "info", "-c", &config, "--json"], "");
    assert!(told.contains(id), "{told}");
    let broker = Broker::start_with("storage", &config);
    let cluster = [
        "cluster",
        "cluster-id",
        "--bootstrap-server",
        broker.address(),
    ];
    assert_eq!(said(&cluster, ""), format!("Cluster ID: {id}\n"));
    drop(broker);
    std::fs::remove_dir_all(&folder).expect("the folder is ours");
}

/// The directory in `tests/golden/cli/storage/kafka` was formatted by Kafka's own tool.
#[test]
fn a_directory_that_kafka_formatted_starts() {
    let folder = folder("kafka-storage");
    let data = folder.join("data");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/cli/storage/kafka");
    let log = "__cluster_metadata-0";
    std::fs::create_dir_all(data.join(log)).expect("the folder is ours");
    let snapshot = format!("{log}/00000000000000000000-0000000000.checkpoint");
    for file in ["bootstrap.checkpoint", "meta.properties", &snapshot] {
        std::fs::copy(golden.join(file), data.join(file)).expect("the file is there");
    }
    let properties = folder.join("server.properties");
    let text = format!(
        "node.id=1\nlog.dirs={}\nlisteners=PLAINTEXT://127.0.0.1:0\n",
        data.display()
    );
    std::fs::write(&properties, text).expect("the folder is ours");
    let broker = Broker::start_with("kafka-storage", &properties.display().to_string());
    let at = ["--bootstrap-server", broker.address()];
    let id = said(&[&["cluster", "cluster-id"][..], &at].concat(), "");
    assert_eq!(id, "Cluster ID: 9aoTibKSTk2KyOs3TxBd3A\n");
    said(
        &[&["topics", "--create", "--topic", "t"][..], &at].concat(),
        "",
    );
    drop(broker);
    std::fs::remove_dir_all(&folder).expect("the folder is ours");
}
