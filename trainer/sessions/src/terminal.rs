//! Progress, tables and interrupts of commands, shared by `seqroute`, `seqroute-harness` and the demo.
//!
//! Progress goes to stderr, and only to a terminal, so that a command's output can be piped. The first interrupt sets a
//! flag that is polled where work can stop without loss; the second one ends the program at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use comfy_table::{CellAlignment, Table};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};

/// Exit status after an interrupt: 128 + SIGINT, as in shells.
pub const INTERRUPTED: u8 = 130;

/// A progress bar of `length` steps.
#[must_use]
pub fn bar(length: u64, what: &'static str) -> ProgressBar {
    styled(ProgressBar::new(length), "{prefix:>12} {bar:30} {human_pos}/{human_len} {eta} {msg}", what)
}

/// A progress counter for an unknown number of steps.
#[must_use]
pub fn counter(what: &'static str) -> ProgressBar {
    styled(ProgressBar::no_length(), "{prefix:>12} {spinner} {human_pos} {elapsed} {msg}", what)
}

fn styled(bar: ProgressBar, template: &str, what: &'static str) -> ProgressBar {
    let bar = bar.with_prefix(what);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

/// A flag that the first interrupt sets; a second interrupt ends the program at once.
///
/// # Errors
/// The signal handler cannot be installed.
pub fn interrupted() -> io::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&flag);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Registered before this returns, so that no interrupt is missed.
    let mut interrupts = {
        let _inside = runtime.enter();
        signal(SignalKind::interrupt())?
    };
    std::thread::spawn(move || {
        runtime.block_on(async {
            while interrupts.recv().await.is_some() {
                if seen.swap(true, Ordering::Relaxed) {
                    std::process::exit(INTERRUPTED.into());
                }
            }
        });
    });
    Ok(flag)
}

/// An empty Markdown table.
#[must_use]
pub fn table() -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::ASCII_MARKDOWN);
    table
}

/// Right-aligns columns.
pub fn align_right(table: &mut Table, columns: impl IntoIterator<Item = usize>) {
    for index in columns {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}
