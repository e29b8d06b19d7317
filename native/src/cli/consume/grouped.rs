//! Consuming as a member of a group: partitions by agreement, offsets kept by the group.

use clap::ArgMatches;
use ottla_core::client::consumer::{Consumed as Fetched, StartAt};
use ottla_core::client::group::GroupEvent;
use ottla_core::ids::Offset;
use ottla_core::time::Instant;

use super::position::Start;
use super::record::Consumed;
use super::{Formatter, Limits};
use crate::cli::admin;
use crate::cli::args::{given, text, texts};
use crate::cli::console::Console;
use crate::cli::failure::Failure;
use crate::cli::member::{self, Member};
use crate::cli::properties::Properties;

/// How often new topics and partitions are looked for, as without a group.
const DISCOVERY_INTERVAL_MS: &str = "10000";

/// Records printed before they are flushed: so many at most come twice when a reader goes away.
const RECORDS_PER_FLUSH: u64 = 64;

/// The group asked for, by option or by property; `None` for none.
pub(super) fn group(
    matches: &ArgMatches,
    properties: &Properties,
) -> Result<Option<String>, Failure> {
    let asked = text(matches, "group");
    let property = properties.get("group.id").map(String::as_str);
    if let (Some(asked), Some(property)) = (asked, property)
        && asked != property
    {
        return Err(Failure::usage(format!(
            "The group ids provided in different places (directly using '--group', via \
             '--command-property', or via '--command-config') do not match. Detected group ids: \
             '{asked}', '{property}'"
        )));
    }
    let group = asked.or(property);
    if group.is_some() && given(matches, "partition") {
        return Err(Failure::usage(
            "Options group and partition cannot be specified together.",
        ));
    }
    if group.is_some() && given(matches, "last") {
        return Err(Failure::usage(
            "-n cannot be used with --group: the group knows where to go on.",
        ));
    }
    Ok(group.map(str::to_owned))
}

/// Consumes until a limit, an interrupt, or the end; gives the number of records printed.
pub(super) fn run(
    matches: &ArgMatches,
    (bootstrap, group, mut properties): (&str, &str, Properties),
    limits: &Limits,
    formatter: &Formatter,
    console: &mut Console<'_>,
) -> Result<u64, Failure> {
    let age = "metadata.max.age.ms".to_owned();
    properties
        .entry(age)
        .or_insert_with(|| DISCOVERY_INTERVAL_MS.to_owned());
    if let Some(level) = text(matches, "isolation-level") {
        properties.insert("isolation.level".to_owned(), level.to_owned());
    }
    let reset = match limits.start {
        Start::Earliest => StartAt::Earliest,
        Start::FromEnd(_) | Start::Latest | Start::Offset(_) => StartAt::Latest,
    };
    let options = member::options(bootstrap, &properties, group, "console-consumer", reset)?;
    member::reach(bootstrap, &properties)?;
    let mut member = Member::new(options)?;
    let include = texts(matches, "include");
    match (
        text(matches, "TOPIC").or(text(matches, "topic")),
        include.first(),
    ) {
        (Some(topic), _) => member.subscribe([topic.into()]),
        (None, Some(pattern)) => member.subscribe_matching(admin::topic_filter(pattern)?),
        (None, None) => unreachable!("one of them was checked to be there"),
    }
    let mut printed = 0;
    let result = consume(&mut member, limits, formatter, &mut printed, console);
    member.close(|_event| Ok(()))?;
    result?;
    Ok(printed)
}

fn consume(
    member: &mut Member,
    limits: &Limits,
    formatter: &Formatter,
    printed: &mut u64,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let give_up = |member: &Member| limits.timeout.map(|timeout| member.now().after(timeout));
    let mut until: Option<Instant> = give_up(member);
    let is_over = |printed: u64| limits.is_reached(printed);
    while !is_over(*printed) && !member.is_stopped() {
        take_events(member, console)?;
        let mut is_quiet = true;
        while let Some(consumed) = member.next_records() {
            is_quiet = false;
            let partition = consumed.partition.clone();
            let mut unshown = None;
            let shown = print(consumed, limits, formatter, printed, &mut unshown, console);
            if let Some(offset) = unshown {
                // Not shown is not consumed: another member, or the next run, begins there.
                member.seek(&partition, StartAt::Offset(offset));
            }
            shown?;
        }
        if !is_quiet {
            until = give_up(member);
        } else {
            let is_late = until.is_some_and(|until| until <= member.now());
            if is_late || limits.stops_at_end && is_at_end(member) {
                return Ok(());
            }
        }
        if !is_over(*printed) {
            member.step(until);
        }
    }
    Ok(())
}

/// Prints records of one partition; `unshown` is then the first that nobody has been shown.
///
/// A reader that has gone is noticed when what was printed is flushed: all since the flush before
/// counts as not shown, for a record that comes twice is better than one that is lost.
fn print(
    consumed: Fetched,
    limits: &Limits,
    formatter: &Formatter,
    printed: &mut u64,
    unshown: &mut Option<Offset>,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let topic = consumed.partition.topic;
    for (record, nth) in consumed.records.into_iter().zip(1_u64..) {
        let offset = record.offset;
        if limits.is_reached(*printed) {
            console.flush()?;
            *unshown = Some(offset);
            return Ok(());
        }
        unshown.get_or_insert(offset);
        let shown = Consumed {
            topic: topic.clone(),
            partition: consumed.partition.partition.0,
            timestamp_type: consumed.timestamp_type,
            record,
        };
        match formatter.print(&shown, console.out) {
            Err(Failure::Refused(message)) if limits.skips => console.notice(message),
            Err(failure) => {
                console.flush()?;
                *unshown = Some(offset);
                return Err(failure);
            }
            Ok(()) => {}
        }
        *printed += 1;
        if nth.is_multiple_of(RECORDS_PER_FLUSH) {
            console.flush()?;
            *unshown = None;
        }
    }
    console.flush()?;
    *unshown = None;
    Ok(())
}

fn take_events(member: &mut Member, console: &mut Console<'_>) -> Result<(), Failure> {
    while let Some(event) = member.group.next_event() {
        match event {
            GroupEvent::Failed(error) => return Err(Failure::refused(error.to_string())),
            GroupEvent::Trouble { partition, error } => {
                console.notice(format!("{partition} cannot be read: {error}"));
            }
            GroupEvent::Committed {
                result: Err(error), ..
            } => {
                console.notice(format!("Offsets could not be committed: {error}"));
            }
            GroupEvent::Assigned(_)
            | GroupEvent::Committed { .. }
            | GroupEvent::Lost(_)
            | GroupEvent::Revoked(_) => {}
        }
    }
    Ok(())
}

/// Whether everything that is there has been read.
fn is_at_end(member: &Member) -> bool {
    let group = &member.group;
    let mut owned = group.owned().iter();
    group.is_stable()
        && owned.all(|partition| {
            let position = group.position(partition);
            let end = group.high_watermark(partition);
            matches!((position, end), (Some(Offset(at)), Some(Offset(end))) if at >= end)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(args: &[&str], property: Option<&str>) -> Result<Option<String>, String> {
        let command = super::super::command();
        let matches = command
            .try_get_matches_from(args)
            .expect("arguments under test parse");
        let property = property.map(|group| ("group.id".to_owned(), group.to_owned()));
        let properties: Properties = property.into_iter().collect();
        group(&matches, &properties).map_err(|failure| failure.to_string())
    }

    #[test]
    fn a_group_is_named_once() {
        let named = Ok(Some("g".to_owned()));
        assert_eq!(found(&["--topic", "a"], None), Ok(None));
        assert_eq!(found(&["--topic", "a", "--group", "g"], None), named);
        assert_eq!(found(&["--topic", "a"], Some("g")), named);
        assert_eq!(found(&["--topic", "a", "--group", "g"], Some("g")), named);
        let refused = found(&["--topic", "a", "--group", "g"], Some("h"));
        let expected = "Detected group ids: 'g', 'h'";
        assert!(refused.expect_err("two groups").ends_with(expected));
        let refused = found(&["--topic", "a", "--group", "g", "--partition", "0"], None);
        let expected = "Options group and partition cannot be specified together.";
        assert_eq!(refused, Err(expected.to_owned()));
    }
}
