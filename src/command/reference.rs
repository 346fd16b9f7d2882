//! The grammar as a manual: `docs/commands.md` and the manual page. Pure.

use std::fmt::Write as _;

/// The manual of a grammar in Markdown: one section a command, its help as it is printed.
#[must_use]
pub fn markdown(mut grammar: clap::Command) -> String {
    grammar.build();
    let mut out = String::from(
        "# Commands\n\nGenerated from the grammar; do not edit. \
         `UPDATE=1 cargo test reference` writes it anew.\n\n",
    );
    section(&mut grammar, "##", &mut out);
    out
}

/// The manual page of a grammar in troff.
///
/// # Errors
/// Writing to `out` failed.
pub fn manual_page(grammar: clap::Command, out: &mut dyn std::io::Write) -> std::io::Result<()> {
    clap_mangen::Man::new(grammar).render(out)
}

fn section(command: &mut clap::Command, heading: &str, out: &mut String) {
    let title = command.get_bin_name().unwrap_or(command.get_name()).to_owned();
    let help = command.render_long_help().to_string();
    let _ = writeln!(out, "{heading} {title}\n\n```text");
    for line in help.trim_end().lines() {
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out.push_str("```\n\n");
    for subcommand in command.get_subcommands_mut() {
        section(subcommand, "###", out);
    }
}
