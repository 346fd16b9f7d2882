//! The options in front of a key (sshd(8), on the file's format).

use jiff::{Timestamp, civil::DateTime, tz::Offset};

use super::KeyOptions;
use crate::model::{source::patterns_match, text::printable};

/// Reads a comma-separated option list. Later flags win over earlier ones, as in sshd.
pub(super) fn parse(text: &str) -> Result<KeyOptions, String> {
    let mut options = KeyOptions::default();
    let mut rest = text;
    loop {
        let end = rest.find([',', '=']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let name = name.to_ascii_lowercase();
        rest = after;
        if let Some(quoted) = after.strip_prefix('=') {
            let (value, after) = unquote(quoted)?;
            set_value(&mut options, &name, value)?;
            rest = after;
        } else {
            set_flag(&mut options, &name)?;
        }
        if rest.is_empty() {
            return Ok(options);
        }
        rest = rest.strip_prefix(',').ok_or("an option does not end with its quote")?;
    }
}

/// The list that reads as these options; empty if they restrict nothing.
pub(super) fn write(options: &KeyOptions) -> String {
    let flags = [
        (options.no_port_forwarding, "no-port-forwarding"),
        (options.no_agent_forwarding, "no-agent-forwarding"),
        (options.no_x11_forwarding, "no-X11-forwarding"),
        (options.no_pty, "no-pty"),
        (options.no_user_rc, "no-user-rc"),
        (options.no_touch_required, "no-touch-required"),
        (options.verify_required, "verify-required"),
    ];
    let time = |end| Timestamp::from_second(end).map(|t| t.strftime("%Y%m%d%H%M%SZ").to_string());
    let values = [
        // A time that cannot be written is one that never comes.
        ("expiry-time", options.expires.and_then(|end| time(end).ok())),
        ("from", options.from.clone()),
        ("command", options.command.clone()),
    ];
    let flags = flags.into_iter().filter(|(set, _)| *set).map(|(_, name)| name.to_owned());
    let values = values.into_iter().filter_map(|(name, value)| {
        value.map(|value| format!("{name}=\"{}\"", value.replace('"', "\\\"")))
    });
    flags.chain(values).collect::<Vec<_>>().join(",")
}

fn set_flag(options: &mut KeyOptions, name: &str) -> Result<(), String> {
    let (positive, withheld) = match name.strip_prefix("no-") {
        Some(positive) => (positive, true),
        None => (name, false),
    };
    match (positive, withheld) {
        ("port-forwarding", _) => options.no_port_forwarding = withheld,
        ("agent-forwarding", _) => options.no_agent_forwarding = withheld,
        ("x11-forwarding", _) => options.no_x11_forwarding = withheld,
        ("pty", _) => options.no_pty = withheld,
        ("user-rc", _) => options.no_user_rc = withheld,
        ("touch-required", true) => options.no_touch_required = true,
        ("verify-required", false) => options.verify_required = true,
        ("restrict", false) => {
            options.no_port_forwarding = true;
            options.no_agent_forwarding = true;
            options.no_x11_forwarding = true;
            options.no_pty = true;
            options.no_user_rc = true;
        }
        _ => return Err(unsupported(name)),
    }
    Ok(())
}

fn set_value(options: &mut KeyOptions, name: &str, value: String) -> Result<(), String> {
    match name {
        "command" if options.command.is_none() => options.command = Some(value),
        "from" if options.from.is_none() => {
            // Which source is asked about does not matter for whether the list can be read.
            let anyone = std::net::IpAddr::from([0, 0, 0, 0]);
            patterns_match(&value, anyone).map_err(|e| format!("option from: {e}"))?;
            options.from = Some(value);
        }
        "expiry-time" if options.expires.is_none() => options.expires = Some(time(&value)?),
        "command" | "from" | "expiry-time" => return Err(format!("option {name} is repeated")),
        _ => return Err(unsupported(name)),
    }
    Ok(())
}

fn unsupported(name: &str) -> String {
    format!("option \"{}\" is not supported", printable(name, 40))
}

/// A value in double quotes, in which `\"` is a quote, and what follows it.
fn unquote(text: &str) -> Result<(String, &str), String> {
    let body = text.strip_prefix('"').ok_or("an option's value is not in quotes")?;
    let mut value = String::new();
    let mut chars = body.char_indices().peekable();
    while let Some((i, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &body[i + 1..])),
            '\\' if chars.next_if(|(_, next)| *next == '"').is_some() => value.push('"'),
            c => value.push(c),
        }
    }
    Err("an option's quote is not closed".to_owned())
}

/// `YYYYMMDD[Z]` or `YYYYMMDDHHMM[SS][Z]` as seconds since 1970, in UTC with or without `Z`.
fn time(text: &str) -> Result<i64, String> {
    let error = || format!("option expiry-time: \"{}\" is not a time", printable(text, 40));
    let digits = text.strip_suffix(['Z', 'z']).unwrap_or(text);
    if !matches!(digits.len(), 8 | 12 | 14) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(error());
    }
    let number = |from: usize, len: usize| -> Result<i8, String> {
        digits.get(from..from + len).unwrap_or("0").parse().map_err(|_| error())
    };
    let year = digits[..4].parse().map_err(|_| error())?;
    let (month, day) = (number(4, 2)?, number(6, 2)?);
    let (hour, minute, second) = (number(8, 2)?, number(10, 2)?, number(12, 2)?);
    let moment = DateTime::new(year, month, day, hour, minute, second, 0).map_err(|_| error())?;
    let moment = Offset::UTC.to_timestamp(moment).map_err(|_| error())?.as_second();
    if moment > 0 { Ok(moment) } else { Err(error()) }
}
