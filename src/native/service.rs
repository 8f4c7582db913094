// SPDX-License-Identifier: Apache-2.0
//! The socket between both halves where the reader is a service.

use std::mem::{ManuallyDrop, size_of};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use napi_derive::napi;

use crate::error::{Result, fail, fail_errno, last_errno};

/// A connection to the socket at this path, if root made it. Errors: the errno of connecting; EPERM where it
/// is somebody else's.
#[napi(catch_unwind)]
pub fn connect_to_root(path: String) -> Result<i32> {
    let socket = UnixStream::connect(&path)
        .map_err(|error| fail_errno(error.raw_os_error().unwrap_or(0), &path))?;
    let mut peer = libc::ucred {
        pid: 0,
        uid: libc::uid_t::MAX,
        gid: 0,
    };
    let mut size = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `size` bytes.
    let failed = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast(),
            &raw mut size,
        )
    };
    if failed != 0 {
        return Err(fail_errno(last_errno(), &path));
    }
    if peer.uid != 0 {
        let whose = format!("{path} belongs to user {}, not to root", peer.uid);
        return Err(fail("EPERM", whose));
    }
    Ok(socket.into_raw_fd())
}

/// From here on reading from this socket, and writing to it, fails with EAGAIN where nothing moved for so long.
#[napi(catch_unwind)]
pub fn wait_at_most(socket: i32, seconds: u32) -> Result<()> {
    // SAFETY: it is the caller's, and is not closed here.
    let socket = ManuallyDrop::new(unsafe { UnixStream::from_raw_fd(socket) });
    let time = Some(Duration::from_secs(seconds.into()));
    socket
        .set_read_timeout(time)
        .and_then(|()| socket.set_write_timeout(time))
        .map_err(|error| fail_errno(error.raw_os_error().unwrap_or(0), "a socket"))
}
