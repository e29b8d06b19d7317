//! The order in which operations are carried out: each log's own, with reads between.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{DirectoryId, QueueKey, SimulatedDisk, is_barrier};
use crate::storage::{DiskDone, DiskError, DiskOp};

impl SimulatedDisk {
    /// Does what is due to have been computed by now.
    pub(super) fn advance_work(&mut self, key: QueueKey, at_ns: u64, done: &mut Vec<DiskDone>) {
        let Some(queue) = self.queues.get_mut(&key) else {
            return;
        };
        let (due, later) = std::mem::take(&mut queue.work)
            .into_iter()
            .partition::<Vec<_>, _>(|(end_ns, _)| *end_ns <= at_ns);
        queue.work = later;
        for (_end_ns, op) in due {
            let DiskOp::Work { work, token, .. } = op else {
                unreachable!("only work is queued as work");
            };
            let result = work.run();
            done.push(DiskDone::Worked { token, result });
        }
    }

    pub(super) fn advance_reads(&mut self, key: QueueKey, at_ns: u64, done: &mut Vec<DiskDone>) {
        let Some(queue) = self.queues.get_mut(&key) else {
            return;
        };
        let first = queue
            .pending
            .front()
            .map_or(u64::MAX, |pending| pending.number);
        let retry_ns = queue.next_at_ns.unwrap_or(at_ns).max(at_ns) + 1;
        let mut ready = Vec::new();
        queue.reads.retain_mut(|read| {
            if read.at_ns > at_ns {
                return true;
            }
            if read.after > first {
                read.at_ns = retry_ns;
                return true;
            }
            ready.push(read.op.clone());
            false
        });
        for op in ready {
            done.push(self.read(&op));
        }
    }

    fn read(&self, op: &DiskOp) -> DiskDone {
        let DiskOp::Read {
            log,
            file,
            position,
            length,
            token,
        } = op
        else {
            unreachable!("only reads are queued as reads");
        };
        let is_unreadable = |folder: DirectoryId| {
            self.unreadable.as_ref().is_some_and(|(at, name, range)| {
                let end = position.saturating_add(*length);
                *at == folder && *name == file.name() && *position < range.end && range.start < end
            })
        };
        let result = match self.logs.get(log) {
            Some(opened) if is_unreadable(opened.folder) => {
                Err(DiskError::Io("a sector cannot be read".into()))
            }
            Some(opened) if !self.volumes[usize::from(opened.directory.0)].failed => {
                let files = &self.volumes[usize::from(opened.directory.0)].files;
                let content = files.content(opened.folder, &file.name());
                Ok(content.map_or_else(Bytes::new, |content| {
                    content.read(*position, *length).into()
                }))
            }
            Some(_) => Err(DiskError::Io("the directory failed".into())),
            None => Ok(Bytes::new()),
        };
        DiskDone::Read {
            log: *log,
            token: *token,
            result,
        }
    }

    /// Carries out one call of the first operation of a queue, or begins it.
    pub(super) fn advance_change(&mut self, key: QueueKey, at_ns: u64, done: &mut Vec<DiskDone>) {
        let queue = self.queues.get_mut(&key).expect("the caller found it");
        let Some(mut first) = queue.pending.pop_front() else {
            queue.next_at_ns = None;
            return;
        };
        // A barrier waits for the reads that were there before it.
        let blocked =
            is_barrier(&first.op) && queue.reads.iter().any(|read| read.after <= first.number);
        if blocked {
            let reads = queue.reads.iter().map(|read| read.at_ns);
            queue.next_at_ns = Some(reads.max().unwrap_or(at_ns).max(at_ns) + 1);
            queue.pending.push_front(first);
            return;
        }
        if first.steps.is_none() && self.is_held_back(&first.op) {
            let retry_ns = self.call_ns();
            let queue = self.queues.get_mut(&key).expect("the caller found it");
            queue.next_at_ns = Some(at_ns + retry_ns);
            queue.pending.push_front(first);
            return;
        }
        if self.drops(&first.op) {
            self.finish(key, at_ns);
            return;
        }
        if first.steps.is_none() {
            match self.plan(&first.op) {
                Ok(steps) => first.steps = Some(steps.into()),
                Err(failure) => {
                    done.push(failure);
                    self.finish(key, at_ns);
                    return;
                }
            }
        } else if let Some(step) = first.steps.as_mut().and_then(VecDeque::pop_front)
            && let Err(failure) = self.carry_out(key, &step)
        {
            done.push(failure);
            self.finish(key, at_ns);
            return;
        }
        let next = first.steps.as_ref().and_then(VecDeque::front);
        match next {
            Some(step) => {
                let duration_ns = self.duration_ns(step);
                let queue = self.queues.get_mut(&key).expect("the caller found it");
                queue.next_at_ns = Some(at_ns + duration_ns);
                queue.pending.push_front(first);
            }
            None => {
                done.extend(self.complete(key, &first.op));
                self.finish(key, at_ns);
            }
        }
    }

    /// Goes on with the next operation of a queue.
    fn finish(&mut self, key: QueueKey, at_ns: u64) {
        let call_ns = self.call_ns();
        let gone = matches!(key, QueueKey::Log(log) if !self.logs.contains_key(&log));
        let queue = self.queues.get_mut(&key).expect("the caller found it");
        queue.next_at_ns = (!queue.pending.is_empty()).then_some(at_ns + call_ns);
        let is_idle = queue.reads.is_empty() && queue.work.is_empty();
        if queue.pending.is_empty() && is_idle && gone {
            self.queues.remove(&key);
        }
    }
}
