//! The WASI preview 1 functions on files and sockets, of which there are none.
//!
//! Parameters and error numbers are those of proxy-wasm-cpp-host's `exports.cc`, also where they are odd:
//! `path_link` and `path_symlink` lack the length of the new path, `sock_accept` writes eight bytes. Only the
//! standard output and the standard error (1 and 2) are open.

use wasmtime::Linker;

use crate::abi::{Call, Outcome, hostcall};
use crate::state::VmState;
use crate::wasi::{Errno, fault, fd_write};

/// Nothing happens to an open file, and others are not open.
fn only_open(fd: u32) -> Outcome {
    if fd == 1 || fd == 2 { Ok(()) } else { Err(Errno::BadFile.into()) }
}

fn refuse(errno: Errno) -> Outcome {
    Err(errno.into())
}

/// Writes a zero where the result would be, and refuses.
fn refuse_with_zero(call: &mut Call<'_>, out: u32, errno: Errno) -> Outcome {
    call.write_u32(out, 0).map_err(fault)?;
    refuse(errno)
}

pub(crate) fn define(linker: &mut Linker<VmState>, module: &'static str) -> wasmtime::Result<()> {
    descriptors(linker, module)?;
    paths(linker, module)?;
    sockets(linker, module)
}

fn descriptors(linker: &mut Linker<VmState>, module: &'static str) -> wasmtime::Result<()> {
    use Errno::*;
    hostcall!(linker, module, "fd_close", |_call, _fd: u32| Ok(()));
    hostcall!(linker, module, "fd_seek", |_call, _fd: u32, _offset: i64, _whence: u32, _out: u32| Ok(()));
    hostcall!(linker, module, "fd_advise", |_call, _fd: u32, _offset: u64, _len: u64, _advice: u32| Ok(()));
    hostcall!(linker, module, "fd_allocate", |_call, fd: u32, _offset: u64, _len: u64| only_open(fd));
    hostcall!(linker, module, "fd_datasync", |_call, fd: u32| only_open(fd));
    hostcall!(linker, module, "fd_sync", |_call, fd: u32| only_open(fd));
    hostcall!(linker, module, "fd_fdstat_set_flags", |_call, _fd: u32, _flags: u32| refuse(NotImplemented));
    hostcall!(linker, module, "fd_fdstat_set_rights", |_call, fd: u32, _base: u64, _inheriting: u64| {
        only_open(fd)
    });
    hostcall!(linker, module, "fd_filestat_get", |_call, _fd: u32, _out: u32| refuse(BadFile));
    hostcall!(linker, module, "fd_filestat_set_size", |_call, fd: u32, _size: u64| only_open(fd));
    hostcall!(
        linker,
        module,
        "fd_filestat_set_times",
        |_call, fd: u32, _accessed: u64, _modified: u64, _flags: u32| only_open(fd)
    );
    hostcall!(linker, module, "fd_read", |_call, _fd: u32, _vectors: u32, _count: u32, _out: u32| {
        refuse(NotImplemented)
    });
    hostcall!(linker, module, "fd_pread", |_call,
                                           _fd: u32,
                                           _vectors: u32,
                                           _count: u32,
                                           _offset: u64,
                                           _out: u32| refuse(
        NotImplemented
    ));
    hostcall!(linker, module, "fd_pwrite", |call,
                                            fd: u32,
                                            vectors: u32,
                                            count: u32,
                                            _offset: u64,
                                            out: u32| {
        fd_write(call, fd, vectors, count, out)
    });
    hostcall!(linker, module, "fd_readdir", |call,
                                             _fd: u32,
                                             _buffer: u32,
                                             _len: u32,
                                             _cookie: u64,
                                             out: u32| {
        refuse_with_zero(call, out, NotDirectory)
    });
    hostcall!(linker, module, "fd_renumber", |_call, fd: u32, to: u32| {
        only_open(fd)?;
        only_open(to)?;
        refuse(NotSupported)
    });
    hostcall!(linker, module, "fd_tell", |call, fd: u32, out: u32| {
        only_open(fd)?;
        call.write_u64(out, 0).map_err(fault)
    });
    hostcall!(linker, module, "fd_prestat_get", |_call, _fd: u32, _out: u32| refuse(BadFile));
    hostcall!(linker, module, "fd_prestat_dir_name", |_call, _fd: u32, _path: u32, _len: u32| {
        refuse(NotImplemented)
    });
    Ok(())
}

fn paths(linker: &mut Linker<VmState>, module: &'static str) -> wasmtime::Result<()> {
    use Errno::*;
    hostcall!(linker, module, "path_open", |_call,
                                            _fd: u32,
                                            _lookup: u32,
                                            _path: u32,
                                            _len: u32,
                                            _how: u32,
                                            _base: i64,
                                            _inheriting: i64,
                                            _flags: u32,
                                            _out: u32| refuse(
        NoEntry
    ));
    hostcall!(linker, module, "path_create_directory", |_call, _fd: u32, _path: u32, _len: u32| {
        refuse(NotSupported)
    });
    hostcall!(
        linker,
        module,
        "path_filestat_get",
        |_call, _fd: u32, _flags: u32, _path: u32, _len: u32, _out: u32| refuse(NotSupported)
    );
    hostcall!(
        linker,
        module,
        "path_filestat_set_times",
        |_call,
         _fd: u32,
         _lookup: u32,
         _path: u32,
         _len: u32,
         _accessed: u64,
         _modified: u64,
         _flags: u32| refuse(NotSupported)
    );
    hostcall!(linker, module, "path_link", |_call,
                                            _fd: u32,
                                            _flags: u32,
                                            _path: u32,
                                            _len: u32,
                                            _new_fd: u32,
                                            _new_path: u32| {
        refuse(NotSupported)
    });
    hostcall!(linker, module, "path_readlink", |call,
                                                _fd: u32,
                                                _path: u32,
                                                _len: u32,
                                                _buffer: u32,
                                                _buffer_len: u32,
                                                out: u32| {
        refuse_with_zero(call, out, NotSupported)
    });
    hostcall!(linker, module, "path_remove_directory", |_call, _fd: u32, _path: u32, _len: u32| {
        refuse(NotSupported)
    });
    hostcall!(linker, module, "path_rename", |_call,
                                              _fd: u32,
                                              _path: u32,
                                              _len: u32,
                                              _new_fd: u32,
                                              _new_path: u32,
                                              _new_len: u32| {
        refuse(NotSupported)
    });
    hostcall!(linker, module, "path_symlink", |_call, _path: u32, _len: u32, _fd: u32, _new_path: u32| {
        refuse(NotSupported)
    });
    hostcall!(linker, module, "path_unlink_file", |_call, _fd: u32, _path: u32, _len: u32| {
        refuse(NotSupported)
    });
    Ok(())
}

fn sockets(linker: &mut Linker<VmState>, module: &'static str) -> wasmtime::Result<()> {
    use Errno::*;
    hostcall!(linker, module, "sock_accept", |call, _fd: u32, _flags: u32, out: u32| {
        call.write_u64(out, 0).map_err(fault)?;
        refuse(NotSupported)
    });
    hostcall!(linker, module, "sock_recv", |call,
                                            _fd: u32,
                                            _vectors: u32,
                                            _count: u32,
                                            _flags: u32,
                                            out: u32,
                                            out_flags: u32| {
        call.write_u32(out, 0).map_err(fault)?;
        call.write(out_flags, &[0; 2]).map_err(fault)?;
        refuse(NotSupported)
    });
    hostcall!(linker, module, "sock_send", |call,
                                            _fd: u32,
                                            _vectors: u32,
                                            _count: u32,
                                            _flags: u32,
                                            out: u32| {
        refuse_with_zero(call, out, NotSupported)
    });
    hostcall!(linker, module, "sock_shutdown", |_call, _fd: u32, _how: u32| refuse(NotSupported));
    Ok(())
}
