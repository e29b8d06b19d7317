//! Times and durations as Kafka's tools and properties write them: ISO 8601, as Java reads it.

use crate::cli::failure::Failure;

/// Milliseconds of `PnDTnHnMnS`; seconds may have a fraction, each number a sign.
pub(crate) fn duration_ms(given: &str) -> Result<i64, Failure> {
    let refused = || Failure::refused("Text cannot be parsed to a Duration");
    let upper = given.trim().to_uppercase();
    let (sign, rest) = match upper.strip_prefix('-') {
        Some(rest) => (-1_i128, rest),
        None => (1, upper.strip_prefix('+').unwrap_or(&upper)),
    };
    let rest = rest.strip_prefix('P').ok_or_else(refused)?;
    let (days, times) = match rest.split_once('T') {
        Some((_days, "")) => return Err(refused()),
        Some((days, times)) => (days, times),
        None => (rest, ""),
    };
    if days.is_empty() && times.is_empty() {
        return Err(refused());
    }
    // In the widest integer: days in thousandths need more than a result in milliseconds does.
    let mut total_ms: i128 = 0;
    let mut units: &[(char, i64)] = &[('D', 86_400_000)];
    for part in [days, times] {
        let mut part = part;
        while !part.is_empty() {
            let end = part.find(|character: char| character.is_ascii_alphabetic());
            let end = end.ok_or_else(refused)?;
            let unit = part[end..].chars().next().ok_or_else(refused)?;
            let at = units
                .iter()
                .position(|(known, _ms)| *known == unit)
                .ok_or_else(refused)?;
            let milliseconds = thousandths(&part[..end], unit == 'S').ok_or_else(refused)?;
            let part_ms = i128::from(milliseconds) * i128::from(units[at].1) / 1000;
            total_ms = total_ms.checked_add(part_ms).ok_or_else(refused)?;
            units = &units[at + 1..];
            part = &part[end + 1..];
        }
        units = &[('H', 3_600_000), ('M', 60_000), ('S', 1_000)];
    }
    i64::try_from(sign * total_ms).map_err(|_too_long| refused())
}

/// A number times a thousand; with a fraction where it may have one.
fn thousandths(text: &str, may_have_fraction: bool) -> Option<i64> {
    let (whole, fraction) = match text.split_once(['.', ',']) {
        Some((whole, fraction)) if may_have_fraction => (whole, fraction),
        Some(_fraction) => return None,
        None => (text, ""),
    };
    let is_negative = whole.starts_with('-');
    let whole: i64 = whole.parse().ok()?;
    if !fraction.chars().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
    let part: i64 = digits.parse().ok()?;
    whole
        .checked_mul(1000)?
        .checked_add(if is_negative { -part } else { part })
}

/// Milliseconds since 1970 of `YYYY-MM-DDTHH:MM:SS[.sss]` with a zone (`Z`, `+01:00`), or in UTC.
pub(crate) fn datetime_ms(given: &str) -> Result<i64, Failure> {
    let refused = || {
        // Kafka 4.3.1 looks for the T itself and leaves the rest to Java.
        Failure::refused(match given.contains('T') {
            true => format!("java.text.ParseException: Unparseable date: \"{given}\""),
            false => {
                "java.text.ParseException: Error parsing timestamp. It does not contain a 'T' \
                      according to ISO8601 format"
                    .to_owned()
            }
        })
    };
    parse_datetime(given).ok_or_else(refused)
}

fn parse_datetime(given: &str) -> Option<i64> {
    let (date, time) = given.split_once('T')?;
    let zone_at = time.find(['Z', '+', '-']).unwrap_or(time.len());
    let (time, zone) = time.split_at(zone_at);
    let date: Vec<i64> = date
        .split('-')
        .map(|part| part.parse().ok())
        .collect::<Option<_>>()?;
    let [year, month, day] = date[..] else {
        return None;
    };
    let time: Vec<&str> = time.split(':').collect();
    let [hour, minute, second] = time[..] else {
        return None;
    };
    let second_ms = thousandths(second, true)?;
    let (hour, minute): (i64, i64) = (hour.parse().ok()?, minute.parse().ok()?);
    let is_sane = (0..=YEAR_LAST).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_of_month(year, month)).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..60_000).contains(&second_ms);
    if !is_sane {
        return None;
    }
    let minutes = (days_since_1970(year, month, day) * 24 + hour) * 60 + minute;
    let local = minutes * 60_000 + second_ms;
    Some(local - zone_minutes(zone)? * 60_000)
}

/// The last year that is written with four digits.
const YEAR_LAST: i64 = 9999;

fn days_of_month(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _other => 31,
    }
}

/// `Z`, `+01`, `+0100` or `+01:00`; nothing is UTC.
fn zone_minutes(zone: &str) -> Option<i64> {
    if matches!(zone, "" | "Z") {
        return Some(0);
    }
    let (sign, digits) = match zone.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, zone.strip_prefix('+')?),
    };
    let digits = digits.replace(':', "");
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let number: i64 = digits.parse().ok()?;
    let (hours, minutes) = match digits.len() {
        2 => (number, 0),
        4 => (number / 100, number % 100),
        _other => return None,
    };
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

/// Days from 1970 to a date; years are counted from March, so that a leap day ends one.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let cycle = year.div_euclid(400);
    let year_of_cycle = year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let leap_days = year_of_cycle / 4 - year_of_cycle / 100;
    cycle * 146_097 + year_of_cycle * 365 + leap_days + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_javas() {
        let check = |given: &str, ms: i64| {
            assert_eq!(duration_ms(given).expect("good"), ms, "{given}");
        };
        check("PT1H", 3_600_000);
        check("P1D", 86_400_000);
        check("P2DT3H4M5.5S", 183_845_500);
        check("pt-6h+3m", -21_420_000);
        check("-PT10S", -10_000);
        check("PT-0.5S", -500);
        // Longer than there have been people, and no reason to come out in the future.
        check("P200000000D", 17_280_000_000_000_000);
        for bad in [
            "",
            "P",
            "PT",
            "1H",
            "P1H",
            "PT1D",
            "PT1M1H",
            "PTxS",
            "P1DT",
            "PT1.5H",
            "P200000000000D",
            "P9223372036854775D",
        ] {
            assert!(duration_ms(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn datetimes_may_have_a_zone() {
        let check = |given: &str, ms: i64| {
            assert_eq!(datetime_ms(given).expect("good"), ms, "{given}");
        };
        check("1970-01-01T00:00:00.000", 0);
        check("2024-02-29T00:00:00.000", 1_709_164_800_000);
        check("2024-02-29T01:00:00.000+01:00", 1_709_164_800_000);
        check("2024-02-28T19:00:00.001-0500", 1_709_164_800_001);
        check("2000-02-29T00:00:00Z", 951_782_400_000);
        for bad in [
            "",
            "2024-01-01",
            "2024-13-01T00:00:00.000",
            "2024-02-31T00:00:00.000",
            "2023-02-29T00:00:00.000",
            "9223372036854775807-01-01T00:00:00.000",
            "2024-01-01T00:00:00.000+99:00",
            "2024-01-01T00:00:00.000+-100",
            "2024-01-01T00:00:00.000Z01",
            "2024-01-01T00:00",
            "xT1:2:3",
        ] {
            assert!(datetime_ms(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_as_kafka_says_it() {
        let check = |result: Result<i64, Failure>, expected: &str| {
            let Err(Failure::Refused(message)) = result else {
                panic!("{result:?}");
            };
            assert_eq!(message, expected);
        };
        check(
            duration_ms("nonsense"),
            "Text cannot be parsed to a Duration",
        );
        check(
            datetime_ms("nonsense"),
            "java.text.ParseException: Error parsing timestamp. It does not contain a 'T' \
             according to ISO8601 format",
        );
        check(
            datetime_ms("xT1:2:3"),
            "java.text.ParseException: Unparseable date: \"xT1:2:3\"",
        );
    }
}
