//! A bar while something takes long, and a way to end it early.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};

/// Status of a program that an interrupt has ended.
pub const INTERRUPTED: u8 = 130;

/// A progress bar on stderr; invisible where stderr is no terminal. 0: the length is not known.
pub fn bar(length: u64, what: &'static str) -> ProgressBar {
    let (bar, template) = match length {
        0 => (ProgressBar::no_length(), "{prefix:>12} {spinner} {human_pos} {elapsed} {msg}"),
        _ => (ProgressBar::new(length), "{prefix:>12} {bar:30} {human_pos}/{human_len} {eta} {msg}"),
    };
    let bar = bar.with_prefix(what);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

/// Becomes true when the user interrupts; a second interrupt ends the program at once.
pub fn interrupted() -> Result<Arc<AtomicBool>> {
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
