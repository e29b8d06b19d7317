//! The labels of a sample. A value may be any text: groups, topics, clients and directories are
//! named by others.

use std::fmt::{self, Write as _};

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};

/// A text as a label's value. What would end the value or the line is escaped, which the encoder of
/// the crate leaves to its callers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Text<'a>(pub(super) &'a str);

impl EncodeLabelValue for Text<'_> {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(['\\', '"', '\n']) {
            let (plain, special) = rest.split_at(at);
            encoder.write_str(plain)?;
            encoder.write_str(match special.as_bytes()[0] {
                b'\\' => "\\\\",
                b'"' => "\\\"",
                _newline => "\\n",
            })?;
            rest = &special[1..];
        }
        encoder.write_str(rest)
    }
}

/// Labels whose values are escaped.
pub(super) trait Labels: EncodeLabelSet {}

impl<const N: usize> Labels for [(&'static str, Text<'_>); N] {}

impl<const N: usize> Labels for [(&'static str, i32); N] {}

impl<A: Labels, B: Labels> Labels for (A, B) {}

#[cfg(test)]
mod tests {
    use prometheus_client::collector::Collector;
    use prometheus_client::encoding::{DescriptorEncoder, text};
    use prometheus_client::metrics::MetricType;
    use prometheus_client::registry::Registry;

    use super::*;

    #[derive(Debug)]
    struct One(&'static str);

    impl Collector for One {
        fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
            let mut family = encoder.encode_descriptor("a", "Help.", None, MetricType::Gauge)?;
            family
                .encode_family(&[("name", Text(self.0))])?
                .encode_gauge(&1i64)
        }
    }

    #[test]
    fn values_stay_within_their_quotes() {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(One("x\n# TYPE y\\\"")));
        let mut page = String::new();
        text::encode(&mut page, &registry).expect("a String takes any text");
        let expected = r#"a{name="x\n# TYPE y\\\""} 1"#;
        assert!(page.lines().any(|line| line == expected), "{page}");
    }
}
