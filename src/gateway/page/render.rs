//! The maintenance page as text. Pure. Nothing of anybody else's is in it but numbers.

use std::{fmt::Write as _, time::Duration};

use jiff::Timestamp;

use super::outage::{Effort, Outage};

/// How soon a browser asks again.
const REFRESH: Duration = Duration::from_secs(5);

/// Longest time that a client is told to stay away.
const LONGEST: Duration = Duration::from_secs(120);

/// From then on the hour alone says too little.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// How much of the bar is filled at most while it is not over, in per cent.
const NEARLY: u128 = 96;

impl Outage {
    /// How long it has lasted.
    fn lasted(&self, now: Timestamp) -> Option<Duration> {
        // A wall clock that was set back makes it begin now.
        Some(now.duration_since(self.since?).try_into().unwrap_or(Duration::ZERO))
    }

    /// When a client should ask again, in seconds: `Retry-After` (RFC 9110, section 10.2.3).
    #[must_use]
    pub fn retry_after(&self, now: Timestamp) -> u64 {
        let left = match (self.usual, self.lasted(now)) {
            (Some(usual), Some(lasted)) => usual.saturating_sub(lasted),
            (Some(usual), None) => usual,
            (None, _) => REFRESH,
        };
        left.clamp(REFRESH, LONGEST).as_secs()
    }

    /// The page for browsers.
    #[must_use]
    pub fn html(&self, now: Timestamp) -> String {
        let (title, sentences) = self.words(now);
        let mut lines = String::new();
        for sentence in &sentences {
            let _ = write!(lines, "<p>{sentence}</p>");
        }
        match self.progress(now) {
            Some(percent) => {
                let _ = write!(lines, "<div class=bar><i style=\"width:{percent}%\"></i></div>");
            }
            None => lines.push_str("<div class=\"bar any\"><i></i></div>"),
        }
        let since = self.since.map_or_else(String::new, |since| {
            let is_long = self.lasted(now).is_some_and(|lasted| lasted >= DAY);
            let form = if is_long { "%-d %B, %H:%M" } else { "%H:%M" };
            format!("<span>Since {} UTC</span>", since.strftime(form))
        });
        let refresh = REFRESH.as_secs();
        format!(
            "<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n\
             <meta name=viewport content=\"width=device-width,initial-scale=1\">\n\
             <meta http-equiv=refresh content={refresh}>\n<meta name=robots content=noindex>\n\
             <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n\
             <div class=mark role=img aria-label=\"waiting\"><i></i></div>\n<h1>{title}</h1>\n{lines}\n\
             <footer>{since}<span>This page looks again by itself</span></footer>\n\
             </main>\n</body>\n</html>\n"
        )
    }

    /// The same for programs: one JSON object.
    #[must_use]
    pub fn json(&self, now: Timestamp) -> String {
        let seconds = |d: Option<Duration>| d.map(|d| d.as_secs());
        let (title, sentences) = self.words(now);
        let body = serde_json::json!({
            "status": "maintenance",
            "message": format!("{title}. {}", sentences.join(" ")),
            "planned": self.planned,
            "since": self.since.map(|since| since.strftime("%FT%TZ").to_string()),
            "away_seconds": seconds(self.lasted(now)),
            "usual_seconds": seconds(self.usual),
            "retry_after_seconds": self.retry_after(now),
        });
        format!("{body}\n")
    }

    /// A title, and sentences: what happened, and what is done about it.
    fn words(&self, now: Timestamp) -> (&'static str, Vec<String>) {
        let lasted = self.lasted(now);
        let ago = lasted.map_or_else(String::new, |d| format!(" {} ago", spoken(d)));
        if self.planned {
            let happened = format!("This server was taken down for maintenance{ago}.");
            return ("Down for maintenance", vec![happened]);
        }
        let happened = format!("The machine behind this site went away{ago}.");
        let happened = if self.since.is_some() {
            happened
        } else {
            "The machine behind this site does not answer at the moment.".to_owned()
        };
        let done = match self.effort {
            Effort::Watched => "It is watched, and this page gives way as soon as it is back.",
            Effort::Started => "It is being started again.",
            Effort::Told => "It did not come back by itself; its operators have been told.",
        };
        let usual = match (self.usual, lasted, self.effort) {
            (None, _, _) | (_, _, Effort::Told) => String::new(),
            (Some(usual), Some(lasted), _) if lasted > usual => {
                " This time it takes longer than usual.".to_owned()
            }
            (Some(usual), _, _) => format!(" That usually takes {}.", spoken(usual)),
        };
        ("Back in a moment", vec![happened, format!("{done}{usual}")])
    }

    /// How much of the usual time is over, in per cent.
    fn progress(&self, now: Timestamp) -> Option<u128> {
        let (usual, lasted) = (self.usual?.as_millis(), self.lasted(now)?.as_millis());
        (usual > 0 && !self.planned).then(|| (lasted * 100 / usual).min(NEARLY))
    }
}

/// Light and dark by the reader's own choice; nothing is loaded from anywhere.
const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#17212b;--soft:#566472;--paper:#eef2f6;--card:#fff;--line:#dfe6ed;--mark:#2671c4;--glow:#2671c41f}\
@media(prefers-color-scheme:dark){:root{--ink:#e7edf3;--soft:#93a2b1;--paper:#0d131a;--card:#151d26;--line:#263340;--mark:#62aef7;--glow:#62aef724}}\
*{box-sizing:border-box}\
body{margin:0;min-height:100vh;min-height:100svh;display:grid;place-items:center;padding:1.25rem;background:var(--paper);color:var(--ink);\
font:1.0625rem/1.6 system-ui,-apple-system,\"Segoe UI\",Roboto,\"Helvetica Neue\",Arial,sans-serif}\
main{width:100%;max-width:31rem;padding:2.75rem 2.25rem 1.75rem;text-align:center;background:var(--card);border:1px solid var(--line);\
border-radius:1.1rem;box-shadow:0 1px 2px #0000000a,0 12px 40px #0000000f}\
.mark{width:3.5rem;height:3.5rem;margin:0 auto;border-radius:50%;display:grid;place-items:center;background:var(--glow);animation:p 2.4s ease-in-out infinite}\
.mark i{width:1rem;height:1rem;border-radius:50%;background:var(--mark)}\
h1{margin:1.2rem 0 .6rem;font-size:1.7rem;line-height:1.25;font-weight:650;letter-spacing:-.015em;text-wrap:balance}\
p{margin:.35rem 0;text-wrap:balance}p+p{color:var(--soft)}\
.bar{height:.375rem;margin:1.75rem 0 0;border-radius:1rem;background:var(--line);overflow:hidden}\
.bar i{display:block;height:100%;border-radius:inherit;background:var(--mark)}\
.any i{width:30%;animation:s 2.4s ease-in-out infinite alternate}\
footer{display:flex;flex-wrap:wrap;justify-content:center;gap:.2rem 1.2rem;margin-top:1.5rem;color:var(--soft);font-size:.875rem}\
@keyframes p{50%{transform:scale(.88);opacity:.7}}@keyframes s{to{transform:translateX(233%)}}\
@media(max-width:30rem){main{padding:2.25rem 1.4rem 1.5rem}h1{font-size:1.5rem}}\
@media(prefers-reduced-motion:reduce){.mark,.any i{animation:none}}";

/// `42 seconds`, `3 minutes`, `2 hours`, `3 days`.
fn spoken(duration: Duration) -> String {
    let (n, unit) = match duration.as_secs() {
        s @ 0..120 => (s, "second"),
        s @ 120..7200 => (s / 60, "minute"),
        s @ 7200..172_800 => (s / 3600, "hour"),
        s => (s / 86_400, "day"),
    };
    format!("{n} {unit}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The time of these tests, in seconds.
    const NOW: i64 = 1_800_000_000;

    fn now() -> Timestamp {
        Timestamp::from_second(NOW).unwrap()
    }

    fn outage(lasted: i64, usual: Option<u64>) -> Outage {
        let since = Some(Timestamp::from_second(NOW - lasted).unwrap());
        Outage { since, usual: usual.map(Duration::from_secs), ..Outage::default() }
    }

    #[test]
    fn it_says_what_happens_and_how_long() {
        let page = outage(42, Some(85)).html(now());
        assert!(page.contains("went away 42 seconds ago"), "{page}");
        assert!(page.contains("usually takes 85 seconds") && page.contains("width:49%"), "{page}");
        assert!(page.contains("Since 07:59 UTC"), "{page}");
        assert!(!page.contains("http://") && !page.contains("https://"), "loads nothing: {page}");
        assert!(outage(300, Some(85)).html(now()).contains("longer than usual"));
        assert!(outage(7200, None).html(now()).contains("2 hours ago"));
        let days = outage(2 * 86_400, None).html(now());
        assert!(
            days.contains("2 days ago") && days.contains("Since 13 January, 08:00 UTC"),
            "{days}"
        );
        assert!(outage(-60, None).html(now()).contains(" 0 seconds ago"));
        assert!(Outage::default().html(now()).contains("does not answer at the moment"));
        let planned = Outage { planned: true, ..outage(1, Some(85)) };
        let page = planned.html(now());
        assert!(
            page.contains("taken down for maintenance 1 second ago.") && !page.contains("width:1%")
        );
        let effort = |effort| Outage { effort, ..outage(300, Some(85)) }.html(now());
        assert!(effort(Effort::Started).contains("It is being started again. This time"));
        assert!(effort(Effort::Told).contains("operators have been told.</p>"));
    }

    #[test]
    fn clients_are_told_when_to_come_again() {
        let after = |lasted, usual| outage(lasted, usual).retry_after(now());
        assert_eq!([after(42, Some(85)), after(84, Some(85)), after(0, None)], [43, 5, 5]);
        assert_eq!(after(0, Some(9999)), 120);
        let json = outage(42, Some(85)).json(now());
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["away_seconds"], 42);
        assert_eq!(json["retry_after_seconds"], 43);
        assert_eq!(json["since"], "2027-01-15T07:59:18Z");
    }
}
