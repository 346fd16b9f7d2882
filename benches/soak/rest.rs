//! What the sentinel uses when nobody is there, round after round, and the verdict.
//!
//! Memory is judged at rest, where it has one value and not the noise of work. The first three
//! rounds fill what is kept on purpose: pooled buffers and what the allocator holds back. Through
//! the others goes a straight line by least squares; what it climbs from the first to the last of
//! them is the growth.

use std::{collections::BTreeMap, fmt::Write};

use crate::{
    harness::{Sentinel, usage::Usage},
    work::Outcome,
};

/// Rounds that fill what is kept.
const WARM: usize = 3;

/// Growth that is none, in bytes: over the seven rounds that are judged some pages come and go.
const NOISE: f64 = 1024.0 * 1024.0;

/// All rounds so far.
pub struct Record {
    baseline: Usage,
    rounds: Vec<Round>,
    done: BTreeMap<&'static str, u64>,
    failures: Vec<String>,
}

struct Round {
    clients: u64,
    peak: Usage,
    rest: Usage,
}

impl Record {
    /// Begins with what `sentinel` uses before anybody comes.
    pub fn new(sentinel: &Sentinel) -> Self {
        let baseline = sentinel.settled();
        Self { baseline, rounds: Vec::new(), done: BTreeMap::new(), failures: Vec::new() }
    }

    /// Enters a round, once the sentinel is at rest. Panics if it does not come to rest in time.
    pub fn add(&mut self, sentinel: &Sentinel, outcome: Outcome) {
        sentinel.assert_no_excess(&self.baseline, &|| false);
        for (name, count) in &outcome.done {
            *self.done.entry(name).or_default() += count;
        }
        let clients = outcome.done.iter().map(|(_, count)| count).sum();
        self.failures.extend(outcome.failures);
        self.rounds.push(Round { clients, peak: outcome.peak, rest: sentinel.settled() });
    }

    /// The last round in a line.
    pub fn last(&self) -> String {
        let line = self.rounds.last().map(Round::line).unwrap_or_default();
        format!("{line}; {} failures so far", self.failures.len())
    }

    /// Everything, for people.
    pub fn table(&self) -> String {
        let mut text = String::from("\n| client | times |\n|---|---:|\n");
        for (name, count) in &self.done {
            writeln!(text, "| {name} | {count} |").unwrap();
        }
        text += "\n| round | clients | at rest: tasks | descriptors | resident KiB | at most: \
                 connections | tasks | descriptors | resident KiB |\n\
                 |---|---:|---:|---:|---:|---:|---:|---:|---:|\n";
        let start = Round { clients: 0, peak: self.baseline.clone(), rest: self.baseline.clone() };
        for (number, round) in std::iter::once(&start).chain(&self.rounds).enumerate() {
            writeln!(text, "| {number} | {}", round.row()).unwrap();
        }
        let per_client =
            self.growth() / self.judged().iter().map(|r| r.clients as f64).sum::<f64>();
        writeln!(
            text,
            "\nMemory at rest grows by {:.0} KiB over rounds {} to {} (a line by least squares): \
             {per_client:.0} bytes a client.",
            self.growth() / 1024.0,
            WARM + 1,
            self.rounds.len()
        )
        .unwrap();
        text
    }

    /// Panics if anything was not as it should be.
    pub fn judge(&self, log: &str) {
        for failure in &self.failures {
            eprintln!("failed: {failure}");
        }
        assert!(self.failures.is_empty(), "{} clients did not get theirs", self.failures.len());
        let lines = log.lines().filter(|line| line.contains(" ERROR "));
        // What the bad reloads bring.
        let meant = [crate::work::MISTAKE, "configuration not reloaded"];
        let errors: Vec<_> = lines.filter(|l| !meant.iter().any(|m| l.contains(m))).collect();
        assert!(errors.is_empty(), "the sentinel's log has errors: {errors:#?}");
        let growth = self.growth();
        assert!(growth < NOISE, "memory at rest grows by {growth:.0} bytes");
    }

    fn judged(&self) -> &[Round] {
        self.rounds.get(WARM..).unwrap_or_default()
    }

    /// Bytes that memory at rest grew by over the rounds that are judged.
    fn growth(&self) -> f64 {
        let points: Vec<_> = self.judged().iter().map(|r| r.rest.resident as f64).collect();
        slope(&points) * points.len().saturating_sub(1) as f64
    }
}

impl Round {
    fn line(&self) -> String {
        let Usage { tasks, descriptors, resident, .. } = &self.rest;
        let kib = resident / 1024;
        format!(
            "{} clients; {tasks} tasks, {descriptors} descriptors, {kib} KiB at rest",
            self.clients
        )
    }

    fn row(&self) -> String {
        let (rest, peak) = (&self.rest, &self.peak);
        format!(
            "{} | {} | {} | {} | {} | {} | {} | {} |",
            self.clients,
            rest.tasks,
            rest.descriptors,
            rest.resident / 1024,
            peak.connections,
            peak.tasks,
            peak.descriptors,
            peak.resident / 1024
        )
    }
}

/// The slope of the straight line by least squares through values at 0, 1, 2, …
fn slope(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = (values.iter().sum::<f64>() / n, (n - 1.0) / 2.0);
    let (mut covariance, mut variance) = (0.0, 0.0);
    for (x, value) in values.iter().enumerate() {
        let dx = x as f64 - mean.1;
        covariance += dx * (value - mean.0);
        variance += dx * dx;
    }
    if variance > 0.0 { covariance / variance } else { 0.0 }
}
