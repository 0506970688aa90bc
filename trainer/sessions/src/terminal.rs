//! What a command that takes long shows, and how it is ended early: shared by `seqroute` and `seqroute-harness`.
//!
//! Progress goes to stderr, and only to a terminal, so that what a command prints can be piped. An interrupt is a wish
//! that the work looks at when it can stop without loss; the second one ends the program at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use comfy_table::{CellAlignment, Table};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};

/// Status of a program that an interrupt has ended: 128 + SIGINT, as shells have it.
pub const INTERRUPTED: u8 = 130;

/// A progress bar of `length` steps.
#[must_use]
pub fn bar(length: u64, what: &'static str) -> ProgressBar {
    styled(ProgressBar::new(length), "{prefix:>12} {bar:30} {human_pos}/{human_len} {eta} {msg}", what)
}

/// The same where nobody knows how many steps there are.
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

/// Becomes true when the user interrupts; a second interrupt ends the program at once.
///
/// # Errors
/// The signal cannot be listened to.
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

/// An empty table as it is printed and pasted: Markdown.
#[must_use]
pub fn table() -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::ASCII_MARKDOWN);
    table
}

/// Puts the numbers of these columns under each other.
pub fn align_right(table: &mut Table, columns: impl IntoIterator<Item = usize>) {
    for index in columns {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}
