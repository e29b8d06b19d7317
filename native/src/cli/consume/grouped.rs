//! Consuming as a member of a group: partitions by agreement, offsets kept by the group.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsFd as _;
use std::time::Duration;

use clap::ArgMatches;
use ottla_core::client::consumer::{Consumed as Fetched, StartAt};
use ottla_core::client::group::GroupEvent;
use ottla_core::ids::{Offset, TopicPartition};
use ottla_core::time::Instant;

use super::outlet::{Outlet, Piece};
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

/// How long a reader may take to read the rest when the tool is told to end.
const END_LIMIT: Duration = Duration::from_secs(1);

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
    let mut printing = Printing::new(&member, *limits, console)?;
    let result = consume(&mut member, &mut printing, formatter, console);
    member.close(|_event| Ok(()))?;
    result?;
    Ok(printing.printed)
}

fn consume(
    member: &mut Member,
    printing: &mut Printing,
    formatter: &Formatter,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let timeout = printing.limits.timeout;
    let give_up = |member: &Member| timeout.map(|timeout| member.now().after(timeout));
    let mut until: Option<Instant> = give_up(member);
    while !printing.is_over() && !member.is_stopped() {
        take_events(member, console)?;
        let before = printing.printed;
        printing.settle(member)?;
        if printing.printed > before {
            until = give_up(member);
        }
        let mut is_quiet = printing.outlet.is_idle();
        member.poll();
        while !printing.is_full()
            && let Some(consumed) = member.next_records()
        {
            is_quiet = false;
            printing.take(member, consumed, formatter, console)?;
        }
        if !is_quiet {
            until = give_up(member);
        } else {
            let is_late = until.is_some_and(|until| until <= member.now());
            if is_late || printing.limits.stops_at_end && is_at_end(member) {
                return Ok(());
            }
        }
        if !printing.is_over() {
            member.step(until);
        }
    }
    printing.end(member, console)
}

/// Records on their way to standard output.
///
/// What has not been printed is held, so that it is not committed: another member, or the next run,
/// begins there. A record that comes twice is better than one that is lost.
struct Printing {
    outlet: Outlet,
    limits: Limits,
    /// Records handed over.
    taken: u64,
    /// Records printed.
    printed: u64,
    /// Where to stay in partitions of which not everything was handed over.
    unshown: BTreeMap<TopicPartition, Offset>,
    /// Pieces of each partition that are not printed yet.
    pieces: BTreeMap<TopicPartition, usize>,
}

impl Printing {
    fn new(member: &Member, limits: Limits, console: &mut Console<'_>) -> Result<Self, Failure> {
        // From here on the outlet alone writes.
        console.flush()?;
        // Not the standard library's: nobody else could end in order while its lock is held.
        let out = File::from(std::io::stdout().as_fd().try_clone_to_owned()?);
        Ok(Self {
            outlet: Outlet::new(out, member.waker()),
            limits,
            taken: 0,
            printed: 0,
            unshown: BTreeMap::new(),
            pieces: BTreeMap::new(),
        })
    }

    /// Whether nothing more is to be taken, and everything taken has been printed.
    fn is_over(&self) -> bool {
        self.limits.is_reached(self.taken) && self.outlet.is_idle()
    }

    /// Whether nothing may be taken now.
    fn is_full(&self) -> bool {
        self.limits.is_reached(self.taken) || !self.outlet.has_room()
    }

    /// Takes records of one partition, which are printed in pieces.
    fn take(
        &mut self,
        member: &mut Member,
        consumed: Fetched,
        formatter: &Formatter,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        let partition = consumed.partition;
        if let Some(first) = consumed.records.first()
            && !self.pieces.contains_key(&partition)
        {
            member.group.set_held(&partition, Some(first.offset));
        }
        let mut text = Vec::new();
        let mut records = 0;
        let mut next = None;
        for record in consumed.records {
            let offset = record.offset;
            if self.limits.is_reached(self.taken) {
                self.unshown.insert(partition.clone(), offset);
                break;
            }
            let shown = Consumed {
                topic: partition.topic.clone(),
                partition: partition.partition.0,
                timestamp_type: consumed.timestamp_type,
                record,
            };
            match formatter.print(&shown, &mut text) {
                Err(Failure::Refused(message)) if self.limits.skips => console.notice(message),
                Err(failure) => {
                    self.unshown.insert(partition.clone(), offset);
                    self.hand_over(&partition, text, records, next);
                    self.end(member, console)?;
                    return Err(failure);
                }
                Ok(()) => {}
            }
            self.taken += 1;
            records += 1;
            next = Some(offset.plus(1));
            if records == RECORDS_PER_FLUSH {
                self.hand_over(&partition, std::mem::take(&mut text), records, next);
                records = 0;
            }
        }
        self.hand_over(&partition, text, records, next);
        Ok(())
    }

    fn hand_over(
        &mut self,
        partition: &TopicPartition,
        text: Vec<u8>,
        records: u64,
        next: Option<Offset>,
    ) {
        let Some(next) = next.filter(|_next| records > 0) else {
            return;
        };
        *self.pieces.entry(partition.clone()).or_default() += 1;
        self.outlet.print(Piece {
            partition: partition.clone(),
            text,
            next,
            records,
        });
    }

    /// Learns what has been printed.
    fn settle(&mut self, member: &mut Member) -> Result<(), Failure> {
        while let Some(printed) = self.outlet.printed()? {
            self.printed += printed.records;
            let partition = printed.partition;
            let left = self.pieces.get_mut(&partition).expect("it was handed over");
            *left -= 1;
            let held = if *left > 0 {
                Some(printed.next)
            } else {
                self.pieces.remove(&partition);
                self.unshown.get(&partition).copied()
            };
            member.group.set_held(&partition, held);
        }
        Ok(())
    }

    /// Waits until everything taken is printed; not for ever where somebody wants an end.
    fn end(&mut self, member: &mut Member, console: &mut Console<'_>) -> Result<(), Failure> {
        let mut limit = None;
        loop {
            self.settle(member)?;
            if self.outlet.is_idle() {
                return Ok(());
            }
            if member.is_stopped() {
                let until = *limit.get_or_insert(member.now().after(END_LIMIT));
                if until <= member.now() {
                    return Ok(());
                }
            }
            take_events(member, console)?;
            member.poll();
            member.step(limit);
        }
    }
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
