// SPDX-License-Identifier: Apache-2.0
//! Events of tracefs (`syscalls/sys_exit_accept`), which nobody need have mounted.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use libbpf_rs::libbpf_sys::{PERF_FLAG_FD_CLOEXEC, PERF_TYPE_TRACEPOINT, perf_event_attr};

use crate::cpus;

const MOUNTS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
const FSCONFIG_CMD_CREATE: libc::c_uint = 6;

/// The event on one CPU; a program that is set to it runs on every CPU. ENOENT where this kernel has no
/// such event.
pub fn open(event: &str) -> io::Result<OwnedFd> {
    let attr = perf_event_attr {
        type_: PERF_TYPE_TRACEPOINT,
        size: size_of::<perf_event_attr>() as u32,
        config: id(event)?,
        ..Default::default()
    };
    let online = cpus::online().unwrap_or_default();
    let (any_process, cpu, no_group) = (-1, online.first().copied().unwrap_or(0), -1);
    let flags = PERF_FLAG_FD_CLOEXEC;
    // SAFETY: the kernel reads `size` bytes of attr; the descriptor is new, and ours.
    unsafe {
        owned(libc::syscall(
            libc::SYS_perf_event_open,
            &raw const attr,
            any_process,
            cpu,
            no_group,
            flags,
        ))
    }
}

/// The number that this kernel has given the event.
pub fn id(event: &str) -> io::Result<u64> {
    let path = format!("events/{event}/id");
    let mounted = MOUNTS
        .iter()
        .find_map(|mount| fs::read_to_string(format!("{mount}/{path}")).ok());
    let text = match mounted {
        Some(text) => text,
        None => read_unmounted(&path)?,
    };
    text.trim()
        .parse()
        .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// From a tracefs of our own, which is in nobody's tree of files and goes when it was read.
fn read_unmounted(path: &str) -> io::Result<String> {
    let path = CString::new(path)?;
    // SAFETY: strings that end; each descriptor is new, and ours.
    let mut file: File = unsafe {
        let filesystem = owned(libc::syscall(libc::SYS_fsopen, c"tracefs".as_ptr(), 0))?;
        let fd = filesystem.as_raw_fd();
        let nothing = std::ptr::null::<libc::c_char>();
        if libc::syscall(
            libc::SYS_fsconfig,
            fd,
            FSCONFIG_CMD_CREATE,
            nothing,
            nothing,
            0,
        ) < 0
        {
            return Err(io::Error::last_os_error());
        }
        let mount = owned(libc::syscall(libc::SYS_fsmount, fd, 0, 0))?;
        let flags = libc::O_RDONLY | libc::O_CLOEXEC;
        let file = libc::openat(mount.as_raw_fd(), path.as_ptr(), flags);
        owned(file.into())?.into()
    };
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(text)
}

/// # Safety
/// What a system call returned that gives a descriptor nobody else has.
unsafe fn owned(result: libc::c_long) -> io::Result<OwnedFd> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: as the caller says.
    Ok(unsafe { OwnedFd::from_raw_fd(result as i32) })
}
