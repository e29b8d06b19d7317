//! One macro that declares a structure of a record and makes all its forms.
//!
//! How single values are written is in [`super::codec`].

/// Declares a structure of a record: its fields in Kafka's order with their defaults, the version
/// each came with and, where it is tagged, its number.
macro_rules! message {
    ($(#[$doc:meta])* $name:ident {
        $($(#[$field_doc:meta])* $field:ident: $type:ty = $default:expr
            $(, since $since:literal)? $(, tag $tag:literal)?;)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Eq, Hash, PartialEq)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        #[allow(unused_variables, unused_mut, reason = "some structures have no fields or no tags")]
        impl crate::metadata::codec::Field for $name {
            fn write(&self, version: i16, out: &mut Vec<u8>) {
                let mut tags = crate::metadata::codec::TagsOut::default();
                let defaults = Self::default();
                $(message!(@write self.$field, defaults.$field, version, out, tags
                    $(, since $since)? $(, tag $tag)?);)*
                tags.write(out);
            }

            fn read(
                version: i16,
                reader: &mut crate::metadata::codec::Reader<'_>,
            ) -> Result<Self, crate::metadata::codec::RecordError> {
                let mut message = Self::default();
                $(message!(@read message.$field, version, reader
                    $(, since $since)? $(, tag $tag)?);)*
                crate::metadata::codec::read_tags(reader, |number, reader| {
                    $(message!(@read_tag message.$field, version, reader, number
                        $(, since $since)? $(, tag $tag)?);)*
                    Ok(false)
                })?;
                Ok(message)
            }

            fn json(&self, version: i16, out: &mut String) {
                out.push('{');
                let defaults = Self::default();
                $(if message!(@shown self.$field, defaults.$field, version
                    $(, since $since)? $(, tag $tag)?)
                {
                    if !out.ends_with('{') {
                        out.push(',');
                    }
                    out.push('"');
                    out.push_str(&crate::metadata::codec::camel_case(stringify!($field)));
                    out.push_str("\":");
                    crate::metadata::codec::Field::json(&self.$field, version, out);
                })*
                out.push('}');
            }
        }
    };
    (@write $value:expr, $default:expr, $version:ident, $out:ident, $tags:ident) => {
        crate::metadata::codec::Field::write(&$value, $version, $out)
    };
    (
        @write $value:expr, $default:expr, $version:ident, $out:ident, $tags:ident,
        since $since:literal
    ) => {
        if $version >= $since {
            crate::metadata::codec::Field::write(&$value, $version, $out);
        } else {
            assert!($value == $default, "a value that this version cannot carry");
        }
    };
    (
        @write $value:expr, $default:expr, $version:ident, $out:ident, $tags:ident,
        tag $tag:literal
    ) => {
        if $value != $default {
            $tags.push($tag, &$value, $version);
        }
    };
    (
        @write $value:expr, $default:expr, $version:ident, $out:ident, $tags:ident,
        since $since:literal, tag $tag:literal
    ) => {
        if $value != $default {
            assert!($version >= $since, "a value that this version cannot carry");
            $tags.push($tag, &$value, $version);
        }
    };
    (
        @read $value:expr, $version:ident, $reader:ident $(, since $since:literal)?,
        tag $tag:literal
    ) => {};
    (@read $value:expr, $version:ident, $reader:ident) => {
        $value = crate::metadata::codec::Field::read($version, $reader)?
    };
    (@read $value:expr, $version:ident, $reader:ident, since $since:literal) => {
        if $version >= $since {
            $value = crate::metadata::codec::Field::read($version, $reader)?;
        }
    };
    (
        @read_tag $value:expr, $version:ident, $reader:ident, $number:ident $(,
        since $since:literal)?
    ) => {};
    (
        @read_tag $value:expr, $version:ident, $reader:ident, $number:ident,
        $(since $since:literal,)? tag $tag:literal
    ) => {
        if $number == $tag $(&& $version >= $since)? {
            $value = crate::metadata::codec::Field::read($version, $reader)?;
            return Ok(true);
        }
    };
    (@shown $value:expr, $default:expr, $version:ident) => { true };
    (
        @shown $value:expr, $default:expr, $version:ident, since $since:literal
    ) => { $version >= $since };
    (
        @shown $value:expr, $default:expr, $version:ident,
        $(since $since:literal,)? tag $tag:literal
    ) => {
        $value != $default
    };
}

pub(crate) use message;
