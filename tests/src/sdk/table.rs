//! The table of results, for the terminal and for `envoy/README.md`.

use std::fmt::{self, Display};
use std::path::Path;

use anyhow::{Context, Result};
use comfy_table::{ContentArrangement, Table as Grid};

use super::played::{Played, Verdict};

/// Where the table stands in a document.
const BEGIN: &str = "<!-- The table between these marks is written by `make sdk SDK=--table`. -->";
const END: &str = "<!-- End of the table. -->";

/// The results of a run.
#[derive(Clone, Debug)]
pub struct Table {
    /// All cases, in their order.
    pub played: Vec<Played>,
}

/// All cases of one client, API and kind of answer.
struct Row<'a> {
    client: &'a str,
    api: &'a str,
    streaming: bool,
    played: Vec<&'a Played>,
}

impl Row<'_> {
    fn cells(&self) -> [String; 6] {
        let names: Vec<_> = self.played.iter().map(|one| one.case.case.as_str()).collect();
        let sum = |whole: bool, amount: fn(&Played) -> u64| {
            self.played.iter().filter(|one| one.case.whole == whole).map(|one| amount(one)).sum::<u64>()
        };
        let (billed, charged) = (sum(true, |one| one.billed), sum(true, |one| one.charged));
        let mut money = if billed == charged {
            "equal".to_owned()
        } else {
            format!("charged {charged} of {billed} nano-USD")
        };
        let (billed, charged) = (sum(false, |one| one.billed), sum(false, |one| one.charged));
        if billed != charged {
            money += &format!("; left early: charged {charged} for {billed} nano-USD");
        }
        let mut result = Vec::new();
        for one in &self.played {
            match one.verdict() {
                Verdict::Right => {}
                Verdict::Known(what) => result.push(format!("{}: {what}", one.case.case)),
                Verdict::Wrong(what) => result.push(format!("WRONG: {}: {what}", one.case.case)),
            }
        }
        let result = if result.is_empty() { "right".to_owned() } else { result.join("; ") };
        let streaming = if self.streaming { "yes" } else { "no" };
        [self.client.to_owned(), self.api.to_owned(), streaming.to_owned(), names.join(", "), money, result]
    }
}

const HEADER: [&str; 6] = ["client", "API", "streaming", "cases", "bill and charge", "result"];

impl Table {
    fn rows(&self) -> Vec<Row<'_>> {
        let mut rows: Vec<Row<'_>> = Vec::new();
        for played in &self.played {
            let case = &played.case;
            let same = |row: &&mut Row<'_>| {
                row.client == case.client && row.api == case.api && row.streaming == case.streaming
            };
            match rows.iter_mut().find(same) {
                Some(row) => row.played.push(played),
                None => rows.push(Row {
                    client: &case.client,
                    api: &case.api,
                    streaming: case.streaming,
                    played: vec![played],
                }),
            }
        }
        rows
    }

    /// What is wrong and not known.
    #[must_use]
    pub fn wrong(&self) -> Vec<String> {
        let wrong = |one: &Played| match one.verdict() {
            Verdict::Wrong(what) => Some(format!("{}: {what}", one.case.session)),
            Verdict::Right | Verdict::Known(_) => None,
        };
        self.played.iter().filter_map(wrong).collect()
    }

    /// The table in Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | ").replace('\n', " "));
        let mut text = line(&HEADER.map(str::to_owned));
        text.push_str("|---|---|---|---|---|---|\n");
        text.extend(self.rows().iter().map(|row| line(&row.cells())));
        text
    }

    /// Writes the table between its marks in a document.
    ///
    /// # Errors
    /// When the document has no marks, or cannot be written.
    pub fn write_into(&self, document: &Path) -> Result<()> {
        let text = std::fs::read_to_string(document)?;
        let (before, rest) = text.split_once(BEGIN).with_context(|| format!("no `{BEGIN}`"))?;
        let (_, after) = rest.split_once(END).with_context(|| format!("no `{END}`"))?;
        let written = format!("{before}{BEGIN}\n\n{}\n{END}{after}", self.markdown());
        Ok(std::fs::write(document, written)?)
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut grid = Grid::new();
        grid.set_content_arrangement(ContentArrangement::Dynamic).set_header(HEADER);
        self.rows().iter().for_each(|row| {
            grid.add_row(row.cells());
        });
        write!(f, "{grid}")
    }
}
