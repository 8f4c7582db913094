// SPDX-License-Identifier: Apache-2.0

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd};

use napi::bindgen_prelude::Buffer;
use napi_derive::napi;

use crate::error::{Result, fail_errno, last_errno};
use crate::netns::run_in;
use crate::refused;

/// What one answer may have in all: a device's qdiscs and filters are a few kilobytes.
const MOST_BYTES: usize = 16 << 20;
const HEADER: usize = size_of::<libc::nlmsghdr>();
const PATIENCE_S: i64 = 2;
const NETLINK_GET_STRICT_CHK: libc::c_int = 12;
/// The same number on every architecture.
const LSM_LIST_MODULES: libc::c_long = 461;
const MOST_MODULES: usize = 32;

/// Sends messages of rtnetlink (`family` 0) or another family of netlink, one after the other, in the
/// namespace at `netns` or in ours. For each the messages that came as its answer, one after another;
/// nothing where the kernel refused it. Errors: the errno of entering the namespace, or of the socket.
#[napi(catch_unwind)]
pub fn netlink(family: i32, requests: Vec<Buffer>, netns: Option<String>) -> Result<Vec<Buffer>> {
    let requests: Vec<Vec<u8>> = requests.iter().map(|bytes| bytes.to_vec()).collect();
    let answers = run_in(netns.as_deref(), move || {
        ask_all(open(family)?, &requests, false)
    })??;
    Ok(answers.into_iter().map(Buffer::from).collect())
}

/// The same of rtnetlink, where a dump is of what the request asks for only (NETLINK_GET_STRICT_CHK, since
/// Linux 4.20), and the message of a refusal is given too.
#[napi(catch_unwind)]
pub fn netlink_strict(requests: Vec<Buffer>, netns: Option<String>) -> Result<Vec<Buffer>> {
    let requests: Vec<Vec<u8>> = requests.iter().map(|bytes| bytes.to_vec()).collect();
    let answers = run_in(netns.as_deref(), move || {
        let socket = open(libc::NETLINK_ROUTE)?;
        set(&socket, libc::SOL_NETLINK, NETLINK_GET_STRICT_CHK, &1i32);
        ask_all(socket, &requests, true)
    })??;
    Ok(answers.into_iter().map(Buffer::from).collect())
}

/// The numbers (LSM_ID_*) of the security modules that are active. None where the kernel does not tell.
#[napi(catch_unwind)]
pub fn security_modules() -> Vec<u32> {
    let mut ids = [0u64; MOST_MODULES];
    let mut bytes = size_of_val(&ids) as u32;
    // SAFETY: the kernel writes at most `bytes` into `ids`, and how many that are.
    let count = unsafe {
        libc::syscall(
            LSM_LIST_MODULES,
            ids.as_mut_ptr(),
            &raw mut bytes,
            0 as libc::c_uint,
        )
    };
    let count = usize::try_from(count).unwrap_or(0).min(MOST_MODULES);
    ids[..count].iter().map(|&id| id as u32).collect()
}

fn ask_all(mut socket: File, requests: &[Vec<u8>], refusals: bool) -> Result<Vec<Vec<u8>>> {
    requests
        .iter()
        .map(|request| ask(&mut socket, request, refusals))
        .collect()
}

fn open(family: i32) -> Result<File> {
    // SAFETY: no pointers; the file owns the new descriptor, on which reading and writing are recv and send.
    let socket = unsafe {
        let fd = libc::socket(
            libc::AF_NETLINK,
            libc::SOCK_RAW | libc::SOCK_CLOEXEC,
            family,
        );
        if fd < 0 {
            return Err(fail_errno(last_errno(), "netlink"));
        }
        File::from_raw_fd(fd)
    };
    let patience = libc::timeval {
        tv_sec: PATIENCE_S,
        tv_usec: 0,
    };
    set(&socket, libc::SOL_SOCKET, libc::SO_RCVTIMEO, &patience);
    Ok(socket)
}

/// An option that a kernel lacks stays as it is.
fn set<T>(socket: &File, level: libc::c_int, name: libc::c_int, value: &T) {
    // SAFETY: the kernel reads one value of this size.
    unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as u32,
        );
    }
}

fn ask(socket: &mut File, request: &[u8], refusals: bool) -> Result<Vec<u8>> {
    let failed =
        |error: std::io::Error| fail_errno(error.raw_os_error().unwrap_or(0), "asking netlink");
    socket.write_all(request).map_err(failed)?;
    let mut answer = Vec::new();
    let mut part = vec![0; 1 << 16];
    while answer.len() < MOST_BYTES {
        let read = socket.read(&mut part).map_err(failed)?;
        match take(&part[..read], &mut answer) {
            Taken::More => {}
            Taken::All => break,
            Taken::Refused if refusals => return Ok(part[..read].to_vec()),
            Taken::Refused => return Ok(Vec::new()),
        }
    }
    Ok(answer)
}

enum Taken {
    More,
    All,
    Refused,
}

/// The messages of one datagram, without what ends an answer.
fn take(mut datagram: &[u8], answer: &mut Vec<u8>) -> Taken {
    while datagram.len() >= HEADER {
        let number = |at: usize| i32::from_ne_bytes(datagram[at..at + 4].try_into().unwrap());
        let len = (number(0) as usize).max(HEADER);
        let kind = i32::from(u16::from_ne_bytes([datagram[4], datagram[5]]));
        if kind == libc::NLMSG_DONE {
            return Taken::All;
        }
        if kind == libc::NLMSG_ERROR {
            let errno = if datagram.len() >= HEADER + 4 {
                -number(HEADER)
            } else {
                0
            };
            // A route that prohibits is told of by EACCES: that is an answer.
            if errno == libc::EPERM {
                refused::note(errno);
            }
            return if errno == 0 {
                Taken::All
            } else {
                Taken::Refused
            };
        }
        let end = len.next_multiple_of(4).min(datagram.len());
        answer.extend_from_slice(&datagram[..end]);
        datagram = &datagram[end..];
    }
    if datagram.is_empty() {
        Taken::More
    } else {
        Taken::All
    }
}
