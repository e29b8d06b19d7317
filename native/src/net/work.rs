//! What a connection's task does for it, for those whose time is limited (`request_percentage`).
//!
//! Told to the brain with the requests that come next, as Kafka counts the time of its network
//! threads when an answer is out. The turns are measured by the driver.

use ottla_core::node::door::Input;

/// Work that no request was told of yet.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// Since when the task is at it, where it began with bytes that came.
    since_ns: Option<u64>,
    untold_ns: u64,
}

impl Work {
    /// Bytes came: what follows is work.
    pub(super) fn begin(&mut self, now_ns: u64) {
        self.since_ns = Some(now_ns);
    }

    /// The task waits for something: that is none.
    pub(super) fn pause(&mut self) {
        self.since_ns = None;
    }

    /// What the task did since is told, or was none of its own; what follows is work again.
    pub(super) fn resume(&mut self, now_ns: u64) {
        self.since_ns = self.since_ns.map(|_before| now_ns);
    }

    /// Answers were written; what follows is work again. The turn before it was not.
    pub(super) fn note_written(&mut self, start_ns: u64, now_ns: u64) {
        self.untold_ns += now_ns - start_ns;
        self.resume(now_ns);
    }

    /// Requests were decoded: each has its share of what was done.
    pub(super) fn share(&mut self, now_ns: u64, inputs: &mut [Input]) {
        if let Some(since_ns) = self.since_ns {
            self.untold_ns += now_ns - since_ns;
        }
        let each_ns = std::mem::take(&mut self.untold_ns) / (inputs.len() as u64).max(1);
        for input in inputs {
            if let Input::Request { head, .. } = input {
                head.work_ns = each_ns;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::{BufMut as _, BytesMut};
    use ottla_core::connection::{Connection, ConnectionLimits};
    use ottla_core::ids::ConnectionId;

    use super::*;

    /// Requests as a connection decodes them.
    fn requests(count: usize) -> Vec<Input> {
        let mut machine = Connection::new(ConnectionId(1), ConnectionLimits::default());
        let mut bytes = BytesMut::new();
        for _ in 0..count {
            bytes.put_slice(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 0, 255, 255]);
        }
        machine.receive(&bytes);
        let take = || machine.next_request().expect("they are well formed");
        let received = std::iter::from_fn(take);
        let inputs = received.map(|received| Input::Request {
            connection: ConnectionId(1),
            sequence: received.sequence,
            head: received.head,
            request: received.request,
        });
        inputs.collect()
    }

    fn told(inputs: &[Input]) -> Vec<u64> {
        let work = |input: &Input| {
            let Input::Request { head, .. } = input else {
                unreachable!("only requests were made");
            };
            head.work_ns
        };
        inputs.iter().map(work).collect()
    }

    #[test]
    fn work_is_told_once_and_neither_waits_nor_turns_are_work() {
        let mut work = Work::default();
        let mut inputs = requests(2);
        work.begin(1_000);
        work.share(1_500, &mut inputs);
        assert_eq!(told(&inputs), [250, 250]);
        // A turn of 400, an answer that takes 80 to write, a wait; then bytes come.
        work.note_written(1_900, 1_980);
        work.pause();
        work.begin(9_000);
        let mut inputs = requests(1);
        work.share(9_020, &mut inputs);
        assert_eq!(told(&inputs), [100]);
        // Requests that had arrived before, and are decoded once there is mail.
        work.pause();
        work.share(99_000, &mut inputs);
        assert_eq!(told(&inputs), [0]);
    }
}
