//! Runs a program that cannot outlive its owner.
//!
//! A test that panics, a demo that is interrupted and a build that is killed must not leave an Envoy
//! behind, which would occupy its ports and memory for days. A destructor alone does not cover a kill.
//! Therefore a small shell script stands between: it starts the program and reads from a pipe whose only
//! writer is the owner. When the owner ends, for whatever reason, the system closes the pipe, the read ends,
//! and the script ends the program.
//!
//! In the other direction, only the program holds the write end of its stdout, so the owner notices when it
//! ends.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;

/// Starts "$@" and prints its process id before the program can print anything. Once stdin closes, it asks the program
/// to end, waits at most three seconds, then kills it (Envoy does not react to signals while it compiles a module).
const SUPERVISOR: &str = r#"
sh -c 'echo "$$"; exec "$@"' program "$@" &
pid=$!
exec >/dev/null 2>&1
cat
kill "$pid"
tries=0
while kill -0 "$pid" && [ "$tries" -lt 60 ]; do
    tries=$((tries + 1))
    sleep 0.05
done
kill -9 "$pid"
wait "$pid"
"#;

/// A program with its supervisor. Dropping it ends both and waits for that.
#[derive(Debug)]
pub struct Supervised {
    supervisor: Child,
    /// While this is open, the program runs. `None` only during drop.
    lifeline: Option<ChildStdin>,
    pid: u32,
    ended: Arc<AtomicBool>,
}

impl Supervised {
    /// Starts `program`; what it writes to stderr goes to `stderr_file`.
    pub fn spawn(program: &Path, arguments: &[String], stderr_file: &Path) -> anyhow::Result<Supervised> {
        let stderr =
            File::create(stderr_file).with_context(|| format!("cannot write {}", stderr_file.display()))?;
        let mut supervisor = Command::new("sh")
            .args(["-c", SUPERVISOR, "supervisor"])
            .arg(program)
            .args(arguments)
            // Its own process group: Ctrl-C reaches the owner, who may still want to read statistics.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .context("cannot run `sh`")?;
        let lifeline = supervisor.stdin.take();
        let mut output = BufReader::new(supervisor.stdout.take().context("no stdout")?);
        let mut first_line = String::new();
        output.read_line(&mut first_line).context("cannot read the process id")?;
        let pid = first_line
            .trim()
            .parse()
            .with_context(|| format!("process id: found '{}'", first_line.trim()))?;

        let ended = Arc::new(AtomicBool::new(false));
        let watcher = Arc::clone(&ended);
        std::thread::spawn(move || {
            // Read and drop: an access log sent to stdout must not fill the pipe and block the program.
            let mut chunk = [0; 4096];
            while matches!(output.read(&mut chunk), Ok(length) if length > 0) {}
            watcher.store(true, Ordering::Release);
        });
        Ok(Supervised { supervisor, lifeline, pid, ended })
    }

    /// Process id of the program.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// False as soon as the program has ended, for whatever reason.
    pub fn is_running(&self) -> bool {
        !self.ended.load(Ordering::Acquire)
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        // The supervisor ends within about three seconds.
        let _ = self.supervisor.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn spawn(script: &str) -> Supervised {
        let directory = tempfile::tempdir().unwrap();
        let arguments = ["-c".to_owned(), script.to_owned()];
        Supervised::spawn(Path::new("/bin/sh"), &arguments, &directory.path().join("stderr")).unwrap()
    }

    fn exists(pid: u32) -> bool {
        Command::new("kill").args(["-0", &pid.to_string()]).stderr(Stdio::null()).status().unwrap().success()
    }

    #[test]
    fn dropping_the_owner_ends_the_program() {
        let program = spawn("exec sleep 600");
        let pid = program.pid();
        assert!(program.is_running() && exists(pid));
        drop(program);
        assert!(!exists(pid));
    }

    #[test]
    fn a_program_that_ignores_the_signal_is_killed() {
        let program = spawn("trap '' TERM; while :; do sleep 0.2; done");
        std::thread::sleep(Duration::from_millis(200));
        let (pid, begin) = (program.pid(), Instant::now());
        drop(program);
        assert!(!exists(pid));
        assert!(begin.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_program_that_ends_is_noticed() {
        let program = spawn("exit 3");
        let deadline = Instant::now() + Duration::from_secs(60);
        while program.is_running() {
            assert!(Instant::now() < deadline, "the end was not noticed");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_chatty_program_is_not_blocked() {
        let program = spawn("head -c 1000000 /dev/zero; exit 0");
        let deadline = Instant::now() + Duration::from_secs(60);
        while program.is_running() {
            assert!(Instant::now() < deadline, "the program hangs on its output");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
