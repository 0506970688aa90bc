//! `seqroute ingest`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use seqroute::ingest::{FeedbackTable, Ingest, Summary};
use seqroute_sessions::session;

#[derive(Debug, Args)]
pub struct Arguments {
    /// Decision records, JSON lines as in the gateway's access log, plain, `.gz` or `.zst`. Can be repeated.
    #[arg(long = "records", required = true)]
    records: Vec<PathBuf>,
    /// Feedback, JSON lines of `{"session": …, "turn": …, "quality": 0 to 1}`. Required, because records do not contain
    /// quality.
    #[arg(long)]
    feedback: Option<PathBuf>,
    /// Models file, a JSON array of models as in the plugin configuration.
    #[arg(long)]
    models: PathBuf,
    /// The session file to write; compressed where the name ends in `.gz` or `.zst`.
    #[arg(long)]
    out: PathBuf,
}

impl Arguments {
    pub fn run(self) -> Result<()> {
        let models = seqroute_sessions::models::read(&self.models)?;
        let Some(feedback) = &self.feedback else {
            bail!(
                "--feedback: found nothing, expected a file with the quality of the turns, which the gateway's records do \
                 not contain"
            );
        };
        let table = FeedbackTable::read(feedback)?;
        let mut ingest = Ingest::new(&models);
        self.records.iter().try_for_each(|path| ingest.read(path))?;
        let (sessions, summary) = ingest.finish(&table);
        show(&summary);
        if sessions.is_empty() {
            bail!(
                "{}: no session would be written: every one is incomplete or has a turn without feedback",
                self.out.display()
            );
        }
        session::write(&self.out, &sessions)
            .with_context(|| format!("{}: cannot be written", self.out.display()))?;
        println!("{}: {} sessions, {} turns", self.out.display(), summary.sessions, summary.turns);
        super::warn(&self.out, &sessions);
        Ok(())
    }
}

fn show(summary: &Summary) {
    let Summary { records, refused, refunded, without_session, estimated, shortened_histories, .. } = summary;
    println!("{records} records");
    let left_out = [
        (*refused, "records left out: the request was refused"),
        (*refunded, "records left out: no answer arrived (refunded)"),
        (*without_session, "records left out: the request had no session"),
        (summary.broken_sessions, "sessions left out: a turn is missing, or several were in flight at once"),
        (summary.unjudged_sessions, "sessions left out: a turn has no feedback"),
        (*estimated, "turns kept whose tokens are an estimate"),
        (*shortened_histories, "turns kept whose prompt was shorter than the history"),
    ];
    for (count, what) in left_out.iter().filter(|(count, _)| *count > 0) {
        println!("{count} {what}");
    }
}
