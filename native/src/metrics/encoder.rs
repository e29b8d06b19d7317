//! Families and their samples as text: OpenMetrics 1.0, or the older text format 0.0.4 of
//! Prometheus, which differs in the headings of counters and in the last line alone.
//!
//! Everything goes straight into one text: with 10,000 topics it has 190,000 lines.

use std::fmt::Write as _;

use super::Format;
use super::catalogue::{Family, Kind};
use super::histogram::Distribution;
use super::labels::{self, Labels};

/// A page on its way.
#[derive(Debug)]
pub(super) struct Encoder {
    format: Format,
    page: String,
}

/// A sample's number.
pub(super) trait Number {
    /// Writes it.
    fn write(self, page: &mut String);
}

impl Number for i64 {
    fn write(self, page: &mut String) {
        write!(page, "{self}").expect("a String takes any text");
    }
}

impl Number for u64 {
    fn write(self, page: &mut String) {
        write!(page, "{self}").expect("a String takes any text");
    }
}

impl Number for f64 {
    /// With a point, which OpenMetrics asks for in bounds of buckets, and without an exponent.
    fn write(self, page: &mut String) {
        let start = page.len();
        write!(page, "{self}").expect("a String takes any text");
        if !page[start..].contains('.') {
            page.push_str(".0");
        }
    }
}

impl Encoder {
    /// An empty page.
    pub(super) fn new(format: Format) -> Self {
        let page = String::new();
        Self { format, page }
    }

    /// The whole page.
    pub(super) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.page.push_str("# EOF\n");
        }
        self.page
    }

    /// One level.
    pub(super) fn gauge(&mut self, family: &'static Family, value: impl Number) {
        self.gauges(family, [([(); 0], value)]);
    }

    /// Levels by labels; the family is left out where there are none.
    pub(super) fn gauges<L: Labels, N: Number>(
        &mut self,
        family: &'static Family,
        samples: impl IntoIterator<Item = (L, N)>,
    ) {
        assert!(family.kind == Kind::Gauge, "{} is no gauge", family.name);
        self.samples(family, "", samples);
    }

    /// One count.
    pub(super) fn counter(&mut self, family: &'static Family, value: impl Number) {
        self.counters(family, [([(); 0], value)]);
    }

    /// Counts by labels; the family is left out where there are none.
    pub(super) fn counters<L: Labels, N: Number>(
        &mut self,
        family: &'static Family,
        samples: impl IntoIterator<Item = (L, N)>,
    ) {
        assert!(
            family.kind == Kind::Counter,
            "{} is no counter",
            family.name
        );
        self.samples(family, "_total", samples);
    }

    fn samples<L: Labels, N: Number>(
        &mut self,
        family: &'static Family,
        suffix: &str,
        samples: impl IntoIterator<Item = (L, N)>,
    ) {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_some() {
            self.heading(family);
        }
        for (labels, value) in samples {
            self.sample(family, suffix, &labels, value);
        }
    }

    /// Durations.
    pub(super) fn histogram(&mut self, family: &'static Family, seen: &Distribution) {
        self.heading(family);
        self.distribution(family, &[(); 0], seen);
    }

    /// Durations by labels; the family is left out where there are none.
    pub(super) fn histograms<L: Labels>(
        &mut self,
        family: &'static Family,
        samples: impl Iterator<Item = (L, Distribution)>,
    ) {
        let mut samples = samples.peekable();
        if samples.peek().is_some() {
            self.heading(family);
        }
        for (labels, seen) in samples {
            self.distribution(family, &labels, &seen);
        }
    }

    fn distribution(&mut self, family: &'static Family, labels: &impl Labels, seen: &Distribution) {
        assert!(family.kind == Kind::Histogram, "{} is none", family.name);
        self.sample(family, "_sum", labels, seen.sum);
        self.sample(family, "_count", labels, seen.count);
        let mut below = 0;
        for &(bound, count) in &seen.buckets {
            below += count;
            let labels = (labels, [("le", Bound(bound))]);
            self.sample(family, "_bucket", &labels, below);
        }
    }

    fn heading(&mut self, family: &'static Family) {
        let (kind, suffix) = match (family.kind, self.format) {
            (Kind::Counter, Format::Classic) => ("counter", "_total"),
            (Kind::Counter, Format::OpenMetrics) => ("counter", ""),
            (Kind::Gauge, _) => ("gauge", ""),
            (Kind::Histogram, _) => ("histogram", ""),
        };
        let (name, help) = (family.name, family.help);
        self.page.extend(["# HELP ", name, suffix, " ", help, "\n"]);
        self.page.extend(["# TYPE ", name, suffix, " ", kind, "\n"]);
    }

    fn sample(
        &mut self,
        family: &'static Family,
        suffix: &str,
        labels: &impl Labels,
        value: impl Number,
    ) {
        let page = &mut self.page;
        page.extend([family.name, suffix]);
        labels::write(labels, page);
        page.push(' ');
        value.write(page);
        page.push('\n');
    }
}

/// The upper bound of a bucket; the largest number stands for infinity.
#[derive(Clone, Copy, Debug)]
struct Bound(f64);

impl labels::Value for Bound {
    fn write(&self, page: &mut String) {
        if self.0 == f64::MAX {
            page.push_str("+Inf");
        } else {
            self.0.write(page);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::labels::Text;
    use super::*;

    static SUM: Family = Family {
        name: "sum",
        kind: Kind::Counter,
        labels: &["x"],
        help: "Sum.",
        redpanda: "",
    };
    static LEVEL: Family = Family {
        name: "level",
        kind: Kind::Gauge,
        labels: &[],
        help: "Level.",
        redpanda: "",
    };
    static TIMES: Family = Family {
        name: "times",
        kind: Kind::Histogram,
        labels: &["x"],
        help: "Times.",
        redpanda: "",
    };

    fn page(format: Format) -> String {
        let mut out = Encoder::new(format);
        out.counters(&SUM, [([("x", Text("#"))], 1u64), ([("x", Text("y"))], 2)]);
        out.gauge(&LEVEL, -2i64);
        out.gauges(&LEVEL, [] as [([(&'static str, i32); 1], i64); 0]);
        let seen = Distribution {
            buckets: vec![(0.000_016_384, 3), (1.0, 0), (f64::MAX, 1)],
            count: 4,
            sum: 7.25,
        };
        out.histograms(&TIMES, [([("x", Text("a"))], seen)].into_iter());
        out.finish()
    }

    #[test]
    fn both_formats_differ_in_headings_and_the_last_line() {
        let expected = "# HELP sum Sum.\n# TYPE sum counter\n\
                        sum_total{x=\"#\"} 1\nsum_total{x=\"y\"} 2\n\
                        # HELP level Level.\n# TYPE level gauge\nlevel -2\n\
                        # HELP times Times.\n# TYPE times histogram\n\
                        times_sum{x=\"a\"} 7.25\ntimes_count{x=\"a\"} 4\n\
                        times_bucket{x=\"a\",le=\"0.000016384\"} 3\n\
                        times_bucket{x=\"a\",le=\"1.0\"} 3\n\
                        times_bucket{x=\"a\",le=\"+Inf\"} 4\n# EOF\n";
        assert_eq!(page(Format::OpenMetrics), expected);
        let classic = expected.replace("HELP sum ", "HELP sum_total ");
        let classic = classic.replace("TYPE sum ", "TYPE sum_total ");
        assert_eq!(page(Format::Classic), classic.replace("# EOF\n", ""));
    }
}
