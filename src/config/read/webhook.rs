//! `[[webhook]]`.

use std::{fs, io::Read as _, path::Path, sync::Arc};

use super::{
    super::{
        Topic, Webhook, WebhookForm,
        path::file,
        problem::Fault,
        section::{Read, Section},
        source::Told,
        tree::Node,
        value::{choice, parsed, text},
    },
    Scope,
};
use crate::model::{text::printable, url::Url};

/// Longest file of a URL or of headers, in bytes.
const MAX_FILE: u64 = 16 * 1024;

/// Longest name of a channel or topic, in characters (Zulip's own limit is 60).
const MAX_TITLE: usize = 60;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Json,
    Slack,
    Zulip,
}

pub(super) fn webhooks(
    sections: Vec<Section<'_>>,
    scope: Scope<'_>,
) -> Result<Vec<Arc<Webhook>>, Told> {
    let read = |section| webhook(section, scope.base).map(Arc::new);
    let webhooks: Vec<_> = sections.into_iter().map(read).collect();
    webhooks.into_iter().collect()
}

fn webhook(mut section: Section<'_>, base: &Path) -> Result<Webhook, Told> {
    let kinds = [("json", Kind::Json), ("slack", Kind::Slack), ("zulip", Kind::Zulip)];
    let kind = section.or_written("kind", "json", choice(&kinds));
    let example = "\"https://hooks.example.org/…\"";
    let url = section.maybe("url", parsed::<Url>(example));
    let url_file = section.maybe("url_file", url_file(base));
    let events = section.list("events", choice(&Topic::ALL));
    let headers = section.maybe("headers", headers_file(base));
    let secret = section.maybe("secret", secret_file(base));
    let channel = section.maybe("channel", title);
    let topic = section.or("topic", "containarium".to_owned(), title);
    let url = match (url?, url_file?) {
        (Some(url), None) | (None, Some(url)) => Ok(url),
        (Some(_), Some(_)) => {
            let fault = Fault::new("there is a `url`, too").hint("remove one of the two");
            Err(section.fault("url_file", fault))
        }
        (None, None) => {
            let hint = format!("for instance `url = {example}`, or `url_file` where it is secret");
            Err(section.missing("url", Fault::new("missing").hint(hint)))
        }
    };
    let kind = kind?;
    let mut verdict = Ok(());
    for key in ["channel", "topic"].iter().filter(|key| kind != Kind::Zulip && section.has(key)) {
        let fault = Fault::new("only a webhook of kind \"zulip\" has this");
        verdict = Err(section.fault(key, fault.hint(format!("remove `{key}`"))));
    }
    let (channel, secret) = (channel?, secret?);
    let form = match kind {
        Kind::Json => Ok(WebhookForm::Json),
        Kind::Slack if section.has("secret") => {
            let fault = Fault::new("the secret of Slack is its URL");
            Err(section.fault("secret", fault.hint("remove `secret`, and use `url_file`")))
        }
        Kind::Slack => Ok(WebhookForm::Slack),
        Kind::Zulip if secret.is_none() => {
            let hint = "a file with EMAIL:KEY of the bot: `secret = \"zulip.secret\"`";
            Err(section.missing("secret", Fault::new("missing").hint(hint)))
        }
        Kind::Zulip => {
            let hint = "for instance `channel = \"operations\"`";
            let missing = || section.missing("channel", Fault::new("missing").hint(hint));
            let channel = channel.ok_or_else(missing);
            channel.and_then(|channel| Ok(WebhookForm::Zulip { channel, topic: topic? }))
        }
    };
    section.finish(|_| None);
    verdict?;
    let mut events =
        events?.unwrap_or_else(|| Topic::ALL.iter().map(|(_, topic)| *topic).collect());
    events.sort();
    events.dedup();
    Ok(Webhook { url: url?, form: form?, events, headers: headers?, secret })
}

/// A file with a URL that not everybody who reads the configuration is to know.
fn url_file(base: &Path) -> impl Fn(&Node) -> Read<Url> {
    move |node| {
        let content = content(&file(base)(node)?)?;
        // Not a word of it: it is a secret.
        content.trim().parse().map_err(|e| Fault::new(format!("what is in it is no URL: {e}")))
    }
}

fn headers_file(base: &Path) -> impl Fn(&Node) -> Read<std::path::PathBuf> {
    move |node| {
        let path = file(base)(node)?;
        let lines = content(&path)?;
        let used = lines.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        for (i, line) in used {
            let is_header = line.split_once(':').is_some_and(|(name, value)| {
                hyper::header::HeaderName::from_bytes(name.as_bytes()).is_ok()
                    && hyper::header::HeaderValue::from_str(value.trim()).is_ok()
            });
            if !is_header {
                return Err(Fault::new(format!("line {} of it is no header", i + 1))
                    .hint("one header a line: `Authorization: Bearer …`"));
            }
        }
        Ok(path)
    }
}

fn secret_file(base: &Path) -> impl Fn(&Node) -> Read<std::path::PathBuf> {
    move |node| {
        let path = file(base)(node)?;
        if content(&path)?.trim().is_empty() {
            return Err(Fault::new("there is no secret in it"));
        }
        Ok(path)
    }
}

fn content(path: &Path) -> Read<String> {
    let shown = printable(&path.display().to_string(), 300);
    let mut text = String::new();
    let read = fs::File::open(path).and_then(|f| f.take(MAX_FILE + 1).read_to_string(&mut text));
    match read {
        Ok(_) if text.len() as u64 > MAX_FILE => {
            Err(Fault::new(format!("{shown} is larger than {MAX_FILE} bytes")))
        }
        Ok(_) => Ok(text),
        Err(e) => Err(Fault::new(format!("{shown} cannot be read: {e}"))),
    }
}

fn title(node: &Node) -> Read<String> {
    let text = text(node)?.trim();
    let length = text.chars().count();
    if length == 0 || length > MAX_TITLE || printable(text, MAX_TITLE) != text {
        return Err(Fault::new(format!("must be 1 to {MAX_TITLE} plain characters on one line")));
    }
    Ok(text.to_owned())
}
