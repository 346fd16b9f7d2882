//! Readers of single values: what is accepted, and what to say about everything else.

use std::{fmt::Display, net::SocketAddr, ops::RangeInclusive, str::FromStr, time::Duration};

use tracing_subscriber::EnvFilter;

use super::{
    problem::Fault,
    section::{Read, expected, similar},
    tree::{Node, Value, shown},
};
use crate::model::name::{NameError, RESERVED};

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Longest filter, in bytes: each directive costs time at every log call.
const MAX_FILTER: usize = 1024;

/// A string.
pub(super) fn text(node: &Node) -> Read<&str> {
    match &node.value {
        Value::String(text) => Ok(text),
        Value::Integer { text, .. } | Value::Float(text) | Value::Date(text) => {
            Err(expected("a string", node).hint(format!("write it in quotes: \"{}\"", shown(text))))
        }
        Value::Boolean(value) => {
            Err(expected("a string", node).hint(format!("write it in quotes: \"{value}\"")))
        }
        Value::Array(_) | Value::Table(_) => Err(expected("a string", node)),
    }
}

/// `true` or `false`.
pub(super) fn boolean(node: &Node) -> Read<bool> {
    if let Value::Boolean(value) = &node.value {
        return Ok(*value);
    }
    let fault = expected("true or false", node);
    match text(node) {
        Ok(text @ ("true" | "false")) => Err(fault.hint(format!("write {text} without quotes"))),
        Ok(_) | Err(_) => Err(fault),
    }
}

/// A whole number within `range`.
pub(super) fn count(range: RangeInclusive<usize>) -> impl Fn(&Node) -> Read<usize> {
    move |node| {
        let hint = format!("a whole number from {} to {}", range.start(), range.end());
        let Value::Integer { text, value } = &node.value else {
            return Err(expected("a whole number", node).hint(hint));
        };
        let value = value.and_then(|v| usize::try_from(v).ok());
        value
            .filter(|v| range.contains(v))
            .ok_or_else(|| Fault::new(format!("{} is out of range", shown(text))).hint(hint))
    }
}

/// A duration from `min` to `max` seconds, written with its unit.
pub(super) fn duration(min: u64, max: u64) -> impl Fn(&Node) -> Read<Duration> {
    move |node| {
        if let Value::Integer { text, .. } = &node.value {
            let fault = Fault::new("a duration needs a unit");
            return Err(fault.hint(format!("did you mean \"{}s\"?", shown(text))));
        }
        let Value::String(written) = &node.value else {
            return Err(expected("a duration", node).hint(DURATION_FORM));
        };
        let value = parse_duration(written)?;
        let range = Duration::from_secs(min)..=Duration::from_secs(max);
        if range.contains(&value) {
            return Ok(value);
        }
        let (min, max) = (humane(min), humane(max));
        Err(Fault::new(format!("\"{}\" is out of range", shown(written)))
            .hint(format!("from \"{min}\" to \"{max}\"")))
    }
}

const DURATION_FORM: &str =
    "a duration is a number and a unit: \"500ms\", \"30s\", \"10m\", \"1h\", \"90d\"";

fn parse_duration(text: &str) -> Read<Duration> {
    let fault = || Fault::new(format!("\"{}\" is not a duration", shown(text)));
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let Ok(number) = number.parse::<u64>() else {
        return Err(fault().hint(DURATION_FORM));
    };
    let millis = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "" => return Err(fault().hint(format!("did you mean \"{number}s\"?"))),
        _ => return Err(duration_unit_fault(fault(), number, unit)),
    };
    let millis = number.checked_mul(millis).ok_or_else(|| fault().hint("that is too long"))?;
    Ok(Duration::from_millis(millis))
}

fn duration_unit_fault(fault: Fault, number: u64, unit: &str) -> Fault {
    let better = match unit.trim().to_ascii_lowercase().as_str() {
        "ms" | "msec" | "millis" | "milliseconds" => format!("{number}ms"),
        "s" | "sec" | "secs" | "second" | "seconds" => format!("{number}s"),
        "m" | "min" | "mins" | "minute" | "minutes" => format!("{number}m"),
        "h" | "hour" | "hours" => format!("{number}h"),
        "d" | "day" | "days" => format!("{number}d"),
        _ => return fault.hint(DURATION_FORM),
    };
    fault.hint(format!("did you mean \"{better}\"?"))
}

fn humane(seconds: u64) -> String {
    match seconds {
        0 => "0s".to_owned(),
        s if s % 86_400 == 0 && s > 86_400 => format!("{}d", s / 86_400),
        s if s % 3600 == 0 => format!("{}h", s / 3600),
        s if s % 60 == 0 => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}

/// A name of the domain.
pub(super) fn name<T: FromStr<Err = NameError>>(node: &Node) -> Read<T> {
    let text = text(node)?;
    text.parse().map_err(|why: NameError| {
        let fault = Fault::new(format!("\"{}\": {why}", shown(text)));
        match why {
            NameError::Empty | NameError::TooLong => fault,
            NameError::Reserved => {
                fault.hint(format!("take another name; reserved are {}", RESERVED.join(", ")))
            }
            NameError::Invalid => {
                let better = text.to_lowercase().replace(['_', '.', ' '], "-");
                match better.parse::<T>() {
                    Ok(_) => fault.hint(format!("did you mean \"{better}\"?")),
                    Err(_) => fault.hint("a name is written like \"spot-1\""),
                }
            }
        }
    })
}

/// What a value of the domain is written as; `example` is shown where it is not.
pub(super) fn parsed<T>(example: &'static str) -> impl Fn(&Node) -> Read<T>
where
    T: FromStr,
    T::Err: Display,
{
    move |node| {
        let text = text(node)?;
        text.parse().map_err(|why: T::Err| {
            Fault::new(format!("\"{}\": {why}", shown(text)))
                .hint(format!("for instance {example}"))
        })
    }
}

/// One of `choices`: the words, and what they mean.
pub(super) fn choice<T: Copy>(choices: &[(&'static str, T)]) -> impl Fn(&Node) -> Read<T> {
    move |node| {
        let text = text(node)?;
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) {
            return Ok(*value);
        }
        let fault = Fault::new(format!("\"{}\" is not known", shown(text)));
        let words = choices.iter().map(|(word, _)| *word);
        Err(match similar(text, words.clone()) {
            Some(word) => fault.hint(format!("did you mean \"{word}\"?")),
            None => fault.hint(format!("one of {}", words.collect::<Vec<_>>().join(", "))),
        })
    }
}

/// An IP address and port to listen on.
pub(super) fn socket_address(node: &Node) -> Read<SocketAddr> {
    if let Value::Integer { text, .. } = &node.value {
        let hint = format!("did you mean \"[::]:{}\"?", shown(text));
        return Err(expected("an address", node).hint(hint));
    }
    let text = text(node)?;
    text.parse().map_err(|_| {
        let fault = Fault::new(format!("\"{}\" is not an IP address and port", shown(text)));
        let port = text.trim_start_matches(['*', ':']);
        let better = [format!("[{text}]:22"), format!("{text}:22"), format!("[::]:{port}")];
        match better.iter().find(|b| b.parse::<SocketAddr>().is_ok()) {
            Some(better) => fault.hint(format!("did you mean \"{better}\"?")),
            None => fault.hint("for instance \"[::]:22\", \"0.0.0.0:2222\" or \"192.0.2.1:22\""),
        }
    })
}

/// A filter of log lines, as `tracing` understands it.
pub(super) fn log_filter(node: &Node) -> Read<String> {
    let text = text(node)?;
    if text.len() > MAX_FILTER {
        return Err(Fault::new(format!("longer than {MAX_FILTER} bytes")));
    }
    for directive in text.split(',').map(str::trim) {
        // Alone, `tracing` would take a misspelt level for the name of a module.
        if !directive.contains(['=', '[']) && !LEVELS.contains(&directive.to_lowercase().as_str()) {
            let fault = Fault::new(format!("\"{}\" is not a level", shown(directive)));
            return Err(match similar(directive, LEVELS.into_iter()) {
                Some(level) => fault.hint(format!("did you mean \"{level}\"?")),
                None if directive.contains("::") => {
                    fault.hint(format!("did you mean \"{}=debug\"?", shown(directive)))
                }
                None => fault.hint(format!("one of {}", LEVELS.join(", "))),
            });
        }
    }
    match EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(Fault::new(format!("\"{}\" is not a log filter", shown(text)))
            .hint("for instance \"info\" or \"info,containarium::door=debug\"")),
    }
}
