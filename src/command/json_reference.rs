//! `docs/json.md`: what `--json` prints, by an example of each command that is checked against the
//! commands themselves. A key that goes away or changes makes the page stale.

use std::{fmt::Write as _, path::Path};

use serde_json::Value;

use super::{
    adopt, audit, ban, create, delete, info, logs, resize, session, stack, state,
    testing::{admin, context, execute_line, images},
};

const HEAD: &str = "\
# JSON

Every command prints one JSON value with `--json`, errors too. Scripts may rely on it: keys are
added, but none goes away or changes its meaning. `null` is what is not there or not known. Times are
those of RFC 3339 in UTC. Keys that end in `_bytes` are numbers of bytes; limits (`cpu`, `memory`,
`disk`) are texts as Incus has them. Text from inside containers is ASCII with escapes, so that it
cannot steer a terminal. The exit status is the same as without `--json`.

This page is made of the commands' own output (`UPDATE=1 cargo test --lib reference`).
";

/// A command line, what is to be said of its answer, and the answer.
type Example = (&'static str, &'static str, Value);

fn answer(line: &str) -> Value {
    let outcome = execute_line(line.as_bytes(), &context(admin()));
    serde_json::from_str(&outcome.stdout).unwrap()
}

fn hosts() -> Vec<Example> {
    vec![
        (
            "backend list --json",
            "A list, in the order of the configuration. `presence` is `up`, `away` or `unknown`. \
             Memory and disk are in bytes; the disk is the storage pool that new containers get \
             theirs from. `health.state` is `unknown`, `up`, `suspect`, `down` or `recovering`. \
             `recovery.state` is `idle`, `held`, `asking`, `starting`, `resetting` (`since`) or \
             `waiting` (`next`); `recovery.alarm` is `exhausted`, `missing`, `refused`, \
             `unreachable`, `late` or `null`; `recovery` is `null` where nobody starts the host. \
             `tunnel` (`connected`, `since`, `source`, `streams`) is `null` of a host that does not \
             connect by itself.",
            answer("backend list --json"),
        ),
        (
            "backend info spot-2 --json",
            "As in `backend list`, and more. `ways` are those to its containers, in the order in \
             which they are tried. `unfinished` are instances that a `create` left. `pools` (`name`, \
             `driver`, and `used` and `total` bytes), `images`, `certificate` and `system` are what \
             Incus says at this moment; `null` while it does not answer.",
            answer("backend info spot-2 --json"),
        ),
        (
            "status --json",
            "`jobs` is the work on containers that is under way; `certificates` are those of the \
             maintenance page (`names`, `valid_from`, `expires`, `source`); `guard.dropped` counts \
             connections since the start that were dropped before their first byte, and \
             `guard.in_kernel` the sources that the kernel drops (`null`: it is not to); `ledger.lost` are \
             records that could not be written since the start, and `recordings.broken` are recordings \
             that are not whole; `problems` are sentences. \
             `gateway` is `null` when no public ports are led on; `in_force` tells whether the \
             kernel does it, and `primary` is `null` while no backend can be led to.",
            super::status::example(),
        ),
    ]
}

fn bans() -> Vec<Example> {
    vec![
        (
            "ban list --json",
            "A list, those that end first in front. `failures` and `strikes` (the how manieth ban in a \
             row) are of bans for failed logins, `by` of those by hand; `until` is `null` for one that \
             holds until it is removed. `ban remove` prints such a list of what it removed; `ban add` \
             prints `ban` and `allowed`, the networks of `guard.allow` in it.",
            ban::example(),
        ),
        (
            "ban why 192.0.2.7 --json",
            "`ban` is one that holds, or that has been over for less than a day. `failures` are those \
             of the last `window_seconds`; `bare` counts connections that asked for nothing.",
            ban::example_of_address(),
        ),
    ]
}

fn sessions() -> Vec<Example> {
    vec![
        (
            "session list --json",
            "A list, the oldest first. `state` is `open`, or `waiting` for a host or a container. \
             `container` and `account` are `null` where it leads to none, or to one that is chosen. \
             `certificate` is the key id of the certificate by which somebody came, else `null`. \
             `session kill` prints the one that it ended.",
            session::example(),
        ),
        (
            "session list --past --json",
            "The same of those that ended, with when, who ended them (`client`, `container`, \
             `sentinel`), why, and the `recordings` of their terminals, as `session play` takes \
             them; it prints `id`, `began`, `bytes` and `file` of one.",
            session::example_of_past(),
        ),
    ]
}

fn ways_in() -> Vec<Example> {
    vec![
        (
            "export alice --jump-host sentinel.example.org --json",
            "`config` is what people get, `known_hosts` the lines of --known-hosts.",
            answer("export alice --jump-host sentinel.example.org --json"),
        ),
        (
            "logs alice --json",
            "The pieces of work, the oldest first. `running` is what is under way still, with \
             --no-follow. `what` is empty where the beginning of the log was dropped.",
            logs::example(),
        ),
        (
            "audit alice --since 2h --json",
            "A list, the oldest first; with --follow a line for each. What `detail` holds depends on \
             the kind: see [the ledger](audit.md).",
            audit::example(),
        ),
    ]
}

fn errors() -> Vec<Example> {
    vec![(
        "info nobody --json",
        "An error. `code` is one of `failed`, `usage`, `not_found`, `conflict`, `unavailable`, \
             `try_later`, `not_permitted`, `bad_configuration` and `interrupted`; `hint` need not be \
             there.",
        answer("info nobody --json"),
    )]
}

fn containers() -> Vec<Example> {
    let mut stacks: Value = answer("stack list --json");
    stacks.as_array_mut().unwrap().retain(|stack| stack["name"] == "rust");
    vec![
        (
            "create alice --ssh-key - --cpu 2 --stack rust --json",
            "It is ready. `ssh` is the line to log in with; `host` and `port` are its parts. `cpu` \
             and `memory` are `null` where it may use all of its host.",
            create::example(),
        ),
        (
            "adopt alice-container --owner alice --ssh-key - --json",
            "As for `create`, without what was there before.",
            adopt::example(),
        ),
        (
            "list --json",
            "A list, by name. `current` is false when the backend does not answer: `seen` is then \
             when the state was so. `hold` is true of one that only `start` starts.",
            answer("list --json --backend spot-2"),
        ),
        (
            "info alice --json",
            "As in `list`, and more. `live` is what Incus says at this moment; `null` when the \
             backend does not answer within two seconds. `cpu_percent` is of the processors that it \
             may use. `memory_bytes` has the files that are kept in memory in it. `disk_bytes` is \
             `null` where the storage pool keeps no account, and on btrfs without what is shared \
             with the image. `autostart` is `null` when it starts if it ran before.",
            info::example(&context(admin())),
        ),
        (
            "resize alice --memory 8GB --disk 20GB --json",
            "What changed, by limit; `null` is no limit. `notes` are the remarks that people get.",
            resize::example(),
        ),
        (
            "image list --json",
            "`images` are those that `create --image` takes by name, those with a name of their own \
             first; of one name there are several where it is not the same image on all `backends` \
             that have it. `os`, `release` and `description` are its maker's words. `default` is what \
             `create` takes when nothing is said, and `systems` what `--os-type` means; their \
             `backends` are `null` where any backend fetches the image from a server. `silent` are \
             backends that did not answer, and why.",
            images(["spot-1", "spot-3"], "spot-2").json,
        ),
        (
            "stack list --json",
            "A list, by name. `file` is `null` for a stack that is built in.",
            stacks,
        ),
        (
            "stack install alice rust --json",
            "`changed` is false when it was installed already.",
            stack::example(),
        ),
        (
            "stop bob --hold --json",
            "`start` and `restart` answer the same; `state` is the one that it is in now.",
            state::example(),
        ),
        ("delete bob --json", "It is gone.", delete::example()),
    ]
}

#[test]
fn json_reference_is_what_the_commands_print() {
    let mut page = HEAD.to_owned();
    let parts = [containers(), ways_in(), sessions(), hosts(), bans(), errors()];
    for (line, about, answer) in parts.concat() {
        let answer = serde_json::to_string_pretty(&answer).unwrap();
        write!(page, "\n## {line}\n\n{about}\n\n```json\n{answer}\n```\n").unwrap();
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/json.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, &page).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == page,
        "docs/json.md is stale: if scripts can live with it, write it anew with \
         `UPDATE=1 cargo test --lib reference`; it would be:\n{page}"
    );
}
