//! Reads a page of metrics as a strict scraper does, and says what is wrong with it.
//!
//! The text format 0.0.4 of Prometheus and OpenMetrics 1.0, as far as a broker's page uses them;
//! what `promtool check metrics` would complain about is an error here.

use std::collections::{BTreeMap, BTreeSet};

/// A page that is well formed.
#[derive(Debug, Default)]
pub struct Exposition {
    /// Every sample: its name with its labels, sorted and written `name{a="b"}`, and its value.
    pub samples: BTreeMap<String, f64>,
    /// Families with their types.
    pub types: BTreeMap<String, String>,
}

/// One line with a value.
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// The family whose lines are being read.
struct Family {
    name: String,
    kind: String,
    is_open_metrics: bool,
    buckets: BTreeMap<String, Vec<(f64, f64)>>,
    counts: BTreeMap<String, f64>,
    sums: BTreeSet<String>,
}

impl Exposition {
    /// Reads a page; `is_open_metrics` tells which of the two formats it is in.
    ///
    /// # Errors
    ///
    /// The first line that is wrong, and why.
    pub fn parse(page: &str, is_open_metrics: bool) -> Result<Self, String> {
        let mut exposition = Self::default();
        let mut family: Option<Family> = None;
        let mut help: Option<String> = None;
        let mut is_over = false;
        if !page.ends_with('\n') {
            return Err("the last line has no end".to_owned());
        }
        for line in page.lines() {
            let wrong = |what: &str| Err(format!("{what}: {line}"));
            if is_over {
                return wrong("after the end");
            } else if line == "# EOF" && is_open_metrics {
                is_over = true;
            } else if let Some(rest) = line.strip_prefix("# HELP ") {
                finish(family.take())?;
                let (name, _text) = rest.split_once(' ').ok_or("a help without a text")?;
                help = Some(name.to_owned());
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').ok_or("a type without a name")?;
                if help.take().as_deref() != Some(name) {
                    return wrong("a type without its help before it");
                }
                let known = exposition.types.insert(name.to_owned(), kind.to_owned());
                if known.is_some() {
                    return wrong("a family told twice");
                }
                family = Some(Family::new(name, kind, is_open_metrics)?);
            } else if line.starts_with('#') || line.is_empty() {
                return wrong("neither a heading nor a sample");
            } else {
                let Some(family) = &mut family else {
                    return wrong("a sample of no family");
                };
                let sample = Sample::parse(line).ok_or_else(|| format!("malformed: {line}"))?;
                family
                    .take(&sample)
                    .map_err(|what| format!("{what}: {line}"))?;
                let known = exposition.samples.insert(sample.series(), sample.value);
                if known.is_some() {
                    return wrong("a series told twice");
                }
            }
        }
        finish(family)?;
        if is_open_metrics && !is_over {
            return Err("the page has no end".to_owned());
        }
        Ok(exposition)
    }

    /// The value of a series, written as in [`Self::samples`]; `None` where there is none.
    #[must_use]
    pub fn value(&self, series: &str) -> Option<f64> {
        self.samples.get(series).copied()
    }
}

fn finish(family: Option<Family>) -> Result<(), String> {
    family.map_or(Ok(()), |family| family.finish())
}

impl Family {
    fn new(name: &str, kind: &str, is_open_metrics: bool) -> Result<Self, String> {
        if !is_name(name) {
            return Err(format!("not a name: {name}"));
        }
        if !["counter", "gauge", "histogram"].contains(&kind) {
            return Err(format!("not a type: {kind}"));
        }
        if kind == "counter" && name.ends_with("_total") == is_open_metrics {
            return Err(format!("a counter's heading in the other format: {name}"));
        }
        Ok(Self {
            name: name.to_owned(),
            kind: kind.to_owned(),
            is_open_metrics,
            buckets: BTreeMap::new(),
            counts: BTreeMap::new(),
            sums: BTreeSet::new(),
        })
    }

    fn take(&mut self, sample: &Sample) -> Result<(), String> {
        let suffix = sample.name.strip_prefix(&self.name);
        let suffix = suffix.ok_or("a sample of another family")?;
        let mut labels = sample.labels.clone();
        let bound = labels.remove("le");
        let series = format!("{labels:?}");
        let expected = match (self.kind.as_str(), self.is_open_metrics) {
            ("counter", true) => "_total",
            ("histogram", _) => {
                match suffix {
                    "_sum" => {
                        self.sums.insert(series);
                    }
                    "_count" => {
                        self.counts.insert(series, sample.value);
                    }
                    "_bucket" => {
                        let bound = bound.ok_or("a bucket without a bound")?;
                        let bound = match bound.as_str() {
                            "+Inf" => f64::INFINITY,
                            number => number.parse().map_err(|_| "not a bound")?,
                        };
                        let buckets = self.buckets.entry(series).or_default();
                        buckets.push((bound, sample.value));
                    }
                    _other => return Err("no part of a histogram".to_owned()),
                }
                return Ok(());
            }
            _plain => "",
        };
        if suffix != expected || bound.is_some() {
            return Err("not a sample of its family's type".to_owned());
        }
        if self.kind == "counter" && (sample.value < 0.0 || !sample.value.is_finite()) {
            return Err("not a count".to_owned());
        }
        Ok(())
    }

    fn finish(self) -> Result<(), String> {
        for (series, buckets) in &self.buckets {
            let whose = format!("{} {series}", self.name);
            if !buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1) {
                return Err(format!("{whose}: buckets do not add up"));
            }
            let last = buckets.last().map(|(bound, count)| (*bound, *count));
            let count = self.counts.get(series).copied();
            if last != count.map(|count| (f64::INFINITY, count)) {
                return Err(format!("{whose}: the last bucket is not everything"));
            }
        }
        if self.kind == "histogram" {
            let counted: BTreeSet<String> = self.counts.into_keys().collect();
            let bucketed: BTreeSet<String> = self.buckets.into_keys().collect();
            if counted != bucketed || counted != self.sums {
                return Err(format!("{}: buckets, counts and sums differ", self.name));
            }
        }
        Ok(())
    }
}

impl Sample {
    /// Reads `name{label="value",...} number`.
    fn parse(line: &str) -> Option<Self> {
        let name_end = line.find(['{', ' '])?;
        let (name, mut rest) = line.split_at(name_end);
        let mut labels = BTreeMap::new();
        if let Some(inner) = rest.strip_prefix('{') {
            rest = inner;
            loop {
                let (label, after) = rest.split_once("=\"")?;
                let (value, after) = quoted(after)?;
                let is_new = labels.insert(label.to_owned(), value).is_none();
                if !is_name(label) || !is_new {
                    return None;
                }
                match after.strip_prefix(',') {
                    Some(more) => rest = more,
                    None => {
                        rest = after.strip_prefix('}')?;
                        break;
                    }
                }
            }
        }
        let value = rest.strip_prefix(' ')?.parse().ok()?;
        is_name(name).then(|| Self {
            name: name.to_owned(),
            labels,
            value,
        })
    }

    fn series(&self) -> String {
        let labels = self.labels.iter();
        let labels: Vec<String> = labels
            .map(|(name, value)| format!("{name}={value:?}"))
            .collect();
        match labels.is_empty() {
            true => self.name.clone(),
            false => format!("{}{{{}}}", self.name, labels.join(",")),
        }
    }
}

/// The text before the closing quote, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match characters.next()?.1 {
                'n' => '\n',
                escaped @ ('"' | '\\') => escaped,
                _other => return None,
            }),
            plain => value.push(plain),
        }
    }
    None
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# HELP a_total Sum.\n# TYPE a_total counter\na_total{x=\"1\"} 2\n\
                        # HELP h Times.\n# TYPE h histogram\nh_sum 3.5\nh_count 2\n\
                        h_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\n";

    #[test]
    fn a_good_page_is_read() {
        let page = Exposition::parse(GOOD, false).expect("it is good");
        assert_eq!(page.value("a_total{x=\"1\"}"), Some(2.0));
        assert_eq!(page.value("h_count"), Some(2.0));
        assert_eq!(page.types["h"], "histogram");
    }

    #[test]
    fn what_is_wrong_is_found() {
        for (good, bad) in [
            (
                "a_total{x=\"1\"} 2\n",
                "a_total{x=\"1\"} 2\na_total{x=\"1\"} 2\n",
            ),
            ("a_total{x=\"1\"} 2", "a_total{x=\"1} 2"),
            ("a_total{x=\"1\"} 2", "a_total{x=\"1\"} -2"),
            ("a_total{x=\"1\"} 2", "b 2"),
            ("# HELP a_total Sum.\n", ""),
            ("h_bucket{le=\"1\"} 1", "h_bucket{le=\"1\"} 3"),
            ("h_count 2", "h_count 3"),
            ("h_sum 3.5\n", ""),
            ("# TYPE h histogram", "# TYPE h heap"),
        ] {
            assert!(GOOD.contains(good));
            let page = GOOD.replacen(good, bad, 1);
            assert!(Exposition::parse(&page, false).is_err(), "{page}");
        }
        assert!(Exposition::parse(GOOD, true).is_err());
    }
}
