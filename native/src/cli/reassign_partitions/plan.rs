//! Which replicas of which partitions are to lie where: the JSON of it, and what is so today.

use std::collections::BTreeMap;

use kafka_wire::DescribeLogDirsRequest;
use kafka_wire::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_wire_core::StrBytes;
use ottla_core::error::ErrorCode;
use serde_json::Value;

use crate::cli::admin;
use crate::cli::console::joined;
use crate::cli::driver::Cluster;
use crate::cli::failure::Failure;
use crate::cli::json_file;

/// A partition by name.
pub(super) type Named = (String, i32);

/// A replica: a partition on a broker.
pub(super) type Replica = (Named, i32);

/// Version of the documents.
const VERSION: i32 = 1;

/// The directory of a replica that may lie in any.
pub(super) const ANY: &str = "any";

/// What is to be.
pub(super) struct Plan {
    /// The brokers of each partition, the preferred leader first.
    pub(super) replicas: BTreeMap<Named, Vec<i32>>,
    /// The directories of replicas that are to lie in a certain one.
    pub(super) directories: BTreeMap<Replica, String>,
}

/// A partition as people name it.
pub(super) fn name((topic, partition): &Named) -> String {
    format!("{topic}-{partition}")
}

/// Partitions as people name them.
pub(super) fn names<'a>(partitions: impl IntoIterator<Item = &'a Named>) -> String {
    joined(partitions.into_iter().map(name), ",")
}

/// The `s` of more than one.
pub(super) fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// Refuses documents of another version; without one they are of the first.
pub(super) fn check_version(document: &Value) -> Result<(), Failure> {
    match document.get("version") {
        None => Ok(()),
        Some(version) if json_file::whole(version, "version")? == VERSION => Ok(()),
        Some(other) => Err(Failure::refused(format!(
            "Not supported version field value {other}"
        ))),
    }
}

impl Plan {
    /// Reads a plan.
    pub(super) fn parse(document: &Value) -> Result<Self, Failure> {
        check_version(document)?;
        let mut plan = Self {
            replicas: BTreeMap::new(),
            directories: BTreeMap::new(),
        };
        let Some(listed) = document.get("partitions") else {
            return Ok(plan);
        };
        let mut twice = Vec::new();
        for listed in json_file::array(listed, "partitions")? {
            let topic = json_file::text(listed, "topic")?.to_owned();
            let named = (topic, json_file::number(listed, "partition")?);
            let replicas = json_file::array(json_file::field(listed, "replicas")?, "replicas")?;
            let replicas: Result<Vec<i32>, Failure> = replicas
                .iter()
                .map(|broker| json_file::whole(broker, "replicas"))
                .collect();
            let replicas = replicas?;
            plan.read_directories(listed, &named, &replicas)?;
            if plan.replicas.insert(named.clone(), replicas).is_some() {
                twice.push(named);
            }
        }
        if !twice.is_empty() {
            return Err(Failure::refused(format!(
                "Partition reassignment contains duplicate topic partitions: {}",
                names(&twice)
            )));
        }
        Ok(plan)
    }

    fn read_directories(
        &mut self,
        listed: &Value,
        named: &Named,
        replicas: &[i32],
    ) -> Result<(), Failure> {
        let Some(directories) = listed.get("log_dirs") else {
            return Ok(());
        };
        let directories = json_file::array(directories, "log_dirs")?;
        let shown = directories
            .iter()
            .map(|directory| directory.as_str().unwrap_or_default());
        if directories.len() != replicas.len() {
            return Err(Failure::refused(format!(
                "Size of replicas list [{}] is different from size of log dirs list [{}] for \
                 partition {}",
                joined(replicas, ", "),
                joined(shown, ", "),
                name(named)
            )));
        }
        for (broker, directory) in replicas.iter().zip(shown) {
            if directory != ANY {
                let replica = (named.clone(), *broker);
                self.directories.insert(replica, directory.to_owned());
            }
        }
        Ok(())
    }

    /// Every broker that is to have a replica.
    pub(super) fn brokers(&self) -> impl Iterator<Item = i32> {
        self.replicas.values().flatten().copied()
    }
}

/// The document for partitions with the directories of their replicas, as Kafka's tool writes it.
pub(super) fn document(
    replicas: &BTreeMap<Named, Vec<i32>>,
    directories: &BTreeMap<Replica, String>,
) -> String {
    let partitions = replicas.iter().map(|(named, brokers)| {
        let directories = brokers.iter().map(|broker| {
            let directory = directories.get(&(named.clone(), *broker));
            Value::from(directory.map_or(ANY, String::as_str))
        });
        format!(
            "{{\"topic\":{},\"partition\":{},\"replicas\":[{}],\"log_dirs\":[{}]}}",
            Value::from(named.0.as_str()),
            named.1,
            joined(brokers, ","),
            joined(directories, ",")
        )
    });
    format!(
        "{{\"version\":{VERSION},\"partitions\":[{}]}}",
        joined(partitions, ",")
    )
}

/// The brokers of every partition of these topics, as they are.
pub(super) fn replicas_of(
    cluster: &mut Cluster,
    topics: &[&str],
) -> Result<BTreeMap<Named, Vec<i32>>, Failure> {
    let mut found = BTreeMap::new();
    let described = admin::all_topics(cluster)?;
    for wanted in topics {
        let topic = described
            .iter()
            .find(|topic| admin::name_of(topic) == *wanted);
        let topic = topic.ok_or_else(|| {
            let code = ErrorCode::UnknownTopicOrPartition.code();
            let class = admin::exception_name(code);
            Failure::refused(format!("{class}: Topic {wanted} not found."))
        })?;
        for partition in &topic.partitions {
            let named = ((*wanted).to_owned(), partition.partition_index);
            found.insert(named, partition.replica_nodes.clone());
        }
    }
    Ok(found)
}

/// Where a replica lies, and where it is moving to.
pub(super) struct Place {
    pub(super) current: String,
    pub(super) future: Option<String>,
}

/// The directories of the replicas of these partitions, asked from the brokers that have them.
pub(super) fn places(
    cluster: &mut Cluster,
    replicas: &[Replica],
) -> Result<BTreeMap<Replica, Place>, Failure> {
    let mut by_broker: BTreeMap<i32, BTreeMap<&str, Vec<i32>>> = BTreeMap::new();
    for ((topic, partition), broker) in replicas {
        let topics = by_broker.entry(*broker).or_default();
        topics.entry(topic).or_default().push(*partition);
    }
    let mut places: BTreeMap<Replica, Place> = BTreeMap::new();
    let mut futures: Vec<(Replica, String)> = Vec::new();
    for (broker, topics) in by_broker {
        let mut request = DescribeLogDirsRequest::default();
        let asked = topics.into_iter().map(|(topic, partitions)| {
            let mut asked = DescribableLogDirTopic::default();
            asked.topic = StrBytes::from(topic);
            asked.partitions = partitions;
            asked
        });
        request.topics = Some(asked.collect());
        let answer = cluster.call_node(broker, request)?;
        admin::check(answer.error_code, None)?;
        for directory in &answer.results {
            for topic in &directory.topics {
                for partition in &topic.partitions {
                    let named = (topic.name.to_string(), partition.partition_index);
                    let lies_in = directory.log_dir.to_string();
                    if partition.is_future_key {
                        futures.push(((named, broker), lies_in));
                    } else {
                        let place = Place {
                            current: lies_in,
                            future: None,
                        };
                        places.insert((named, broker), place);
                    }
                }
            }
        }
    }
    for (replica, directory) in futures {
        if let Some(place) = places.get_mut(&replica) {
            place.future = Some(directory);
        }
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(document: &Value) -> String {
        Plan::parse(document)
            .map(|_| ())
            .expect_err("a bad plan")
            .to_string()
    }

    #[test]
    fn plans_are_read_and_written() {
        let document = json!({"version": 1, "partitions": [
            {"topic": "b", "partition": 0, "replicas": [2, 1]},
            {"topic": "a", "partition": 1, "replicas": [1, 2], "log_dirs": ["any", "/x"]},
        ]});
        let plan = Plan::parse(&document).expect("a good plan");
        assert_eq!(
            super::document(&plan.replicas, &plan.directories),
            "{\"version\":1,\"partitions\":[{\"topic\":\"a\",\"partition\":1,\"replicas\":[1,2],\
             \"log_dirs\":[\"any\",\"/x\"]},{\"topic\":\"b\",\"partition\":0,\"replicas\":[2,1],\
             \"log_dirs\":[\"any\",\"any\"]}]}"
        );
    }

    #[test]
    fn bad_plans_are_refused() {
        let one = json!({"topic": "a", "partition": 0, "replicas": [1]});
        assert_eq!(
            refused(&json!({"partitions": [one, one]})),
            "Partition reassignment contains duplicate topic partitions: a-0"
        );
        assert_eq!(
            refused(&json!({"version": 2})),
            "Not supported version field value 2"
        );
        assert_eq!(
            refused(&json!({"partitions": [{"topic": "a", "partition": 0}]})),
            "No such field exists: `replicas`"
        );
        for bad in [
            json!({"partitions": 1}),
            json!({"partitions": [1]}),
            json!({"partitions": [{"topic": 1, "partition": 0, "replicas": [1]}]}),
            json!({"partitions": [{"topic": "a", "partition": 0, "replicas": ["1"]}]}),
            json!({"version": "1"}),
        ] {
            refused(&bad);
        }
    }
}
