//! The functions of WASI on files and sockets.
//!
//! Only the standard output and the standard error (1 and 2) are open; what is written to them becomes log lines.
//! Parameters and error numbers are those of proxy-wasm-cpp-host's `exports.cc`, also where they are odd:
//! `path_link` and `path_symlink` lack the length of the new path, and `sock_accept` writes eight bytes.

use wasmtime::Linker;

use super::errno::{Errno, fault};
use crate::abi::log_level::LogLevel;
use crate::guest::call::{Call, Outcome, hostcall};
use crate::guest::state::VmState;

/// Defines one host function per row: its name, its parameters, and what it answers.
macro_rules! table {
    ($linker:ident, $module:ident, $call:ident: $($name:ident($($argument:ident: $type:ty),*) => $answer:expr;)*) => {
        $(hostcall!($linker, $module, stringify!($name), |$call $(, $argument: $type)*| $answer);)*
    };
}

#[rustfmt::skip]
#[expect(unused_variables, reason = "the rows name all parameters, for the types and the reader")]
pub(super) fn define(linker: &mut Linker<VmState>, module: &'static str) -> wasmtime::Result<()> {
    use Errno::*;
    table!(linker, module, call:
        fd_write(fd: u32, vectors: u32, count: u32, out: u32) => write(call, fd, vectors, count, out);
        fd_pwrite(fd: u32, vectors: u32, count: u32, offset: u64, out: u32) => write(call, fd, vectors, count, out);
        fd_fdstat_get(fd: u32, out: u32) => status_of_open(call, fd, out);
        fd_close(fd: u32) => Ok(());
        fd_seek(fd: u32, offset: i64, whence: u32, out: u32) => Ok(());
        fd_advise(fd: u32, offset: u64, len: u64, advice: u32) => Ok(());
        fd_allocate(fd: u32, offset: u64, len: u64) => only_open(fd);
        fd_datasync(fd: u32) => only_open(fd);
        fd_sync(fd: u32) => only_open(fd);
        fd_fdstat_set_rights(fd: u32, base: u64, inheriting: u64) => only_open(fd);
        fd_filestat_set_size(fd: u32, size: u64) => only_open(fd);
        fd_filestat_set_times(fd: u32, accessed: u64, modified: u64, flags: u32) => only_open(fd);
        fd_tell(fd: u32, out: u32) => only_open(fd).and_then(|()| call.write_u64(out, 0).map_err(fault));
        fd_renumber(fd: u32, to: u32) => only_open(fd).and_then(|()| only_open(to)).and_then(|()| refuse(NotSupported));
        fd_fdstat_set_flags(fd: u32, flags: u32) => refuse(NotImplemented);
        fd_read(fd: u32, vectors: u32, count: u32, out: u32) => refuse(NotImplemented);
        fd_pread(fd: u32, vectors: u32, count: u32, offset: u64, out: u32) => refuse(NotImplemented);
        fd_prestat_dir_name(fd: u32, path: u32, len: u32) => refuse(NotImplemented);
        fd_prestat_get(fd: u32, out: u32) => refuse(BadFile);
        fd_filestat_get(fd: u32, out: u32) => refuse(BadFile);
        fd_readdir(fd: u32, buffer: u32, len: u32, cookie: u64, out: u32) => zero(call, out, 4, NotDirectory);

        path_open(fd: u32, lookup: u32, path: u32, len: u32, how: u32, base: i64, inheriting: i64, flags: u32, out: u32)
            => refuse(NoEntry);
        path_create_directory(fd: u32, path: u32, len: u32) => refuse(NotSupported);
        path_filestat_get(fd: u32, flags: u32, path: u32, len: u32, out: u32) => refuse(NotSupported);
        path_filestat_set_times(
            fd: u32, lookup: u32, path: u32, len: u32, accessed: u64, modified: u64, flags: u32
        ) => refuse(NotSupported);
        path_link(fd: u32, flags: u32, path: u32, len: u32, new_fd: u32, new_path: u32) => refuse(NotSupported);
        path_readlink(fd: u32, path: u32, len: u32, buffer: u32, buffer_len: u32, out: u32)
            => zero(call, out, 4, NotSupported);
        path_remove_directory(fd: u32, path: u32, len: u32) => refuse(NotSupported);
        path_rename(fd: u32, path: u32, len: u32, new_fd: u32, new_path: u32, new_len: u32) => refuse(NotSupported);
        path_symlink(path: u32, len: u32, fd: u32, new_path: u32) => refuse(NotSupported);
        path_unlink_file(fd: u32, path: u32, len: u32) => refuse(NotSupported);

        sock_accept(fd: u32, flags: u32, out: u32) => zero(call, out, 8, NotSupported);
        sock_recv(fd: u32, vectors: u32, count: u32, flags: u32, out: u32, out_flags: u32) => {
            call.write_u32(out, 0).map_err(fault)?;
            zero(call, out_flags, 2, NotSupported)
        };
        sock_send(fd: u32, vectors: u32, count: u32, flags: u32, out: u32) => zero(call, out, 4, NotSupported);
        sock_shutdown(fd: u32, how: u32) => refuse(NotSupported);
    );
    Ok(())
}

/// Succeeds without effect on an open file; others are not open.
fn only_open(fd: u32) -> Outcome {
    if fd == 1 || fd == 2 { Ok(()) } else { refuse(Errno::BadFile) }
}

fn refuse(errno: Errno) -> Outcome {
    Err(errno.into())
}

/// Writes `len` bytes of zero where the result would be, and refuses.
fn zero(call: &mut Call<'_>, out: u32, len: usize, errno: Errno) -> Outcome {
    call.write(out, &[0; 8][..len]).map_err(fault)?;
    refuse(errno)
}

/// Says that an open file may be written.
fn status_of_open(call: &mut Call<'_>, fd: u32, out: u32) -> Outcome {
    only_open(fd)?;
    let mut stat = [0u8; 24];
    // The right to write.
    stat[8] = 64;
    // A failure to write the answer is ignored, as in Envoy.
    let _ = call.write(out, &stat);
    Ok(())
}

/// Logs what is written: standard output as info, standard error as error.
fn write(call: &mut Call<'_>, fd: u32, vectors: u32, count: u32, out: u32) -> Outcome {
    let level = match fd {
        1 => LogLevel::Info,
        2 => LogLevel::Error,
        _ => return refuse(Errno::BadFile),
    };
    let table_len = count.checked_mul(8).ok_or(Errno::Fault)?;
    let table = call.read(vectors, table_len).map_err(fault)?;
    let mut text = Vec::new();
    for vector in table.chunks_exact(8) {
        let word =
            |at: usize| u32::from_le_bytes([vector[at], vector[at + 1], vector[at + 2], vector[at + 3]]);
        text.extend(call.read(word(0), word(4)).map_err(fault)?);
    }
    let written = text.len() as u32;
    if written != 0 {
        call.state().log(level, text.strip_suffix(b"\n").unwrap_or(&text));
    }
    call.write_u32(out, written).map_err(fault)
}
