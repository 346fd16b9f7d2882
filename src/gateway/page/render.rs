//! The maintenance page as text. Pure. Nothing of anybody else's is in it but numbers.

use std::{fmt::Write as _, time::Duration};

/// How soon a browser asks again.
const REFRESH: Duration = Duration::from_secs(5);

/// What is to be told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outage {
    /// How long the host has been away; none if it is not known.
    pub lasted: Option<Duration>,
    /// How long it usually takes until it is back.
    pub usual: Option<Duration>,
    /// Somebody keeps it down on purpose.
    pub planned: bool,
}

impl Outage {
    /// When a client should ask again, in seconds: `Retry-After` (RFC 9110, section 10.2.3).
    #[must_use]
    pub fn retry_after(&self) -> u64 {
        let left = match (self.usual, self.lasted) {
            (Some(usual), Some(lasted)) => usual.saturating_sub(lasted),
            (Some(usual), None) => usual,
            (None, _) => REFRESH,
        };
        left.clamp(REFRESH, Duration::from_secs(120)).as_secs()
    }

    /// The page for browsers.
    #[must_use]
    pub fn html(&self) -> String {
        let (title, sentence) = self.words();
        let mut lines = format!("<p>{sentence}</p>");
        if let Some(progress) = self.progress() {
            let _ = write!(lines, "<div class=bar><i style=\"width:{progress}%\"></i></div>");
        }
        lines.push_str("<p class=small>This page refreshes itself. Nothing is lost.</p>");
        let refresh = REFRESH.as_secs();
        format!(
            "<!doctype html><html lang=en><head><meta charset=utf-8>\
             <meta name=viewport content=\"width=device-width,initial-scale=1\">\
             <meta http-equiv=refresh content={refresh}><meta name=robots content=noindex>\
             <title>{title}</title><style>{STYLE}</style></head>\
             <body><main><div class=dot></div><h1>{title}</h1>{lines}</main></body></html>\n"
        )
    }

    /// The same for programs: one JSON object.
    #[must_use]
    pub fn json(&self) -> String {
        let seconds = |d: Option<Duration>| d.map(|d| d.as_secs());
        let body = serde_json::json!({
            "status": "maintenance",
            "planned": self.planned,
            "away_seconds": seconds(self.lasted),
            "usual_seconds": seconds(self.usual),
            "retry_after_seconds": self.retry_after(),
        });
        format!("{body}\n")
    }

    fn words(&self) -> (&'static str, String) {
        let since = self.lasted.map_or_else(String::new, |d| format!(" {} ago", spoken(d)));
        if self.planned {
            let sentence = format!("This server was taken down for maintenance{since}.");
            return ("Down for maintenance", sentence);
        }
        let rest = match (self.usual, self.lasted) {
            (Some(usual), Some(lasted)) if lasted > usual => {
                " It is being brought back; this time it takes longer than usual.".to_owned()
            }
            (Some(usual), _) => {
                format!(" It is being brought back, which usually takes {}.", spoken(usual))
            }
            (None, _) => " It is being brought back.".to_owned(),
        };
        ("Back in a moment", format!("The machine behind this site went away{since}.{rest}"))
    }

    /// How much of the usual time is over, in per cent.
    fn progress(&self) -> Option<u128> {
        let (usual, lasted) = (self.usual?.as_millis(), self.lasted?.as_millis());
        (usual > 0).then(|| (lasted * 100 / usual).min(96))
    }
}

/// Light and dark by the reader's own choice; nothing is loaded from anywhere.
const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1d2733;--soft:#5d6b7a;--paper:#f6f8fa;--line:#dbe2ea;--mark:#2f7fd1}\
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#93a1b0;--paper:#0f1620;--line:#263242;--mark:#5aa9f7}}\
*{box-sizing:border-box}body{margin:0;min-height:100vh;display:grid;place-items:center;background:var(--paper);\
color:var(--ink);font:17px/1.6 system-ui,-apple-system,Segoe UI,Roboto,sans-serif}\
main{max-width:34rem;padding:2.5rem 1.5rem;text-align:center}h1{font-size:1.9rem;font-weight:650;margin:.9rem 0 .4rem}\
p{margin:.4rem 0}.small{color:var(--soft);font-size:.9rem;margin-top:1.4rem}\
.dot{width:.9rem;height:.9rem;border-radius:50%;background:var(--mark);margin:auto;animation:p 1.8s ease-in-out infinite}\
.bar{height:.4rem;border-radius:.2rem;background:var(--line);overflow:hidden;margin:1.4rem auto 0;max-width:22rem}\
.bar i{display:block;height:100%;background:var(--mark);border-radius:.2rem}\
@keyframes p{50%{opacity:.35;transform:scale(.8)}}@media(prefers-reduced-motion:reduce){.dot{animation:none}}";

/// `42 seconds`, `3 minutes`, `2 hours`.
fn spoken(duration: Duration) -> String {
    let (n, unit) = match duration.as_secs() {
        s @ 0..120 => (s, "second"),
        s @ 120..7200 => (s / 60, "minute"),
        s => (s / 3600, "hour"),
    };
    format!("{n} {unit}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outage(lasted: u64, usual: Option<u64>) -> Outage {
        let usual = usual.map(Duration::from_secs);
        Outage { lasted: Some(Duration::from_secs(lasted)), usual, planned: false }
    }

    #[test]
    fn it_says_what_happens_and_how_long() {
        let page = outage(42, Some(85)).html();
        assert!(page.contains("went away 42 seconds ago"), "{page}");
        assert!(page.contains("usually takes 85 seconds") && page.contains("width:49%"), "{page}");
        assert!(!page.contains("http://") && !page.contains("https://"), "loads nothing: {page}");
        assert!(outage(300, Some(85)).html().contains("longer than usual"));
        assert!(outage(7200, None).html().contains("2 hours ago"));
        let planned = Outage { planned: true, ..Outage::default() };
        assert!(planned.html().contains("taken down for maintenance."));
    }

    #[test]
    fn clients_are_told_when_to_come_again() {
        let after = |lasted, usual| outage(lasted, usual).retry_after();
        assert_eq!([after(42, Some(85)), after(84, Some(85)), after(0, None)], [43, 5, 5]);
        assert_eq!(after(0, Some(9999)), 120);
        let json: serde_json::Value = serde_json::from_str(&outage(42, Some(85)).json()).unwrap();
        assert_eq!(json["away_seconds"], 42);
        assert_eq!(json["retry_after_seconds"], 43);
    }
}
