// SPDX-License-Identifier: Apache-2.0
//! Perf events that a program runs at, on every CPU: probes of functions, and events of tracefs
//! (`syscalls/sys_exit_accept`), which nobody need have mounted.

use std::ffi::{CStr, CString};
use std::fs::{self, File};
use std::io::Read;
use std::mem::{ManuallyDrop, size_of};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;

use libbpf_rs::libbpf_sys::{PERF_FLAG_FD_CLOEXEC, PERF_TYPE_TRACEPOINT, perf_event_attr};

use crate::cpus;
use crate::error::{Errno, last_errno};
use crate::reason::KPROBES;

const MOUNTS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
const FSCONFIG_CMD_CREATE: libc::c_uint = 6;
const PERF_EVENT_IOC_ENABLE: libc::c_ulong = 0x2400;
const PERF_EVENT_IOC_SET_BPF: libc::c_ulong = 0x4004_2408;

/// A probe where a function begins, or where it returns. ENOENT where the kernel has no probes, or no
/// such function.
pub fn probe(function: &CStr, returns: bool) -> Result<OwnedFd, Errno> {
    let number = |file: &str, before: &str| {
        let text = fs::read_to_string(format!("{KPROBES}/{file}")).ok()?;
        text.trim().strip_prefix(before)?.parse::<u32>().ok()
    };
    let return_bit = number("format/retprobe", "config:").ok_or(libc::ENOENT)?;
    let mut event = perf_event_attr {
        type_: number("type", "").ok_or(libc::ENOENT)?,
        config: u64::from(returns) << return_bit,
        ..Default::default()
    };
    event.__bindgen_anon_3.kprobe_func = function.as_ptr() as u64;
    open(event)
}

/// An event of tracefs. ENOENT where this kernel has no such event.
pub fn tracepoint(name: &str) -> Result<OwnedFd, Errno> {
    open(perf_event_attr {
        type_: PERF_TYPE_TRACEPOINT,
        config: tracepoint_id(name)?,
        ..Default::default()
    })
}

/// Where a service has what systemd opened for it (OpenFile=).
const MOST_HANDED: u32 = 16;

/// A short file that this process was begun with, as who opened it may read it.
fn handed(path: &str) -> Option<String> {
    let link = |fd: &u32| fs::read_link(format!("/proc/self/fd/{fd}"));
    let fd = (0..MOST_HANDED).find(|fd| link(fd).is_ok_and(|found| found.as_os_str() == path))?;
    // SAFETY: it is open, and is not closed here.
    let file = ManuallyDrop::new(unsafe { File::from_raw_fd(fd as i32) });
    let mut text = [0; 64];
    let bytes = file.read_at(&mut text, 0).ok()?;
    String::from_utf8(text[..bytes].to_vec()).ok()
}

/// The number that this kernel has given the event.
pub fn tracepoint_id(name: &str) -> Result<u64, Errno> {
    let path = format!("events/{name}/id");
    let mounted = MOUNTS.iter().find_map(|mount| {
        let path = format!("{mount}/{path}");
        fs::read_to_string(&path).ok().or_else(|| handed(&path))
    });
    let text = match mounted {
        Some(text) => text,
        None => read_unmounted(&path)?,
    };
    text.trim().parse().map_err(|_| libc::EINVAL)
}

/// The program runs at the event until that is closed. A link (since Linux 5.15) would do no more.
pub fn run(event: &OwnedFd, program: i32) -> Result<(), Errno> {
    for (request, argument) in [
        (PERF_EVENT_IOC_SET_BPF, program),
        (PERF_EVENT_IOC_ENABLE, 0),
    ] {
        // SAFETY: no pointers.
        if unsafe { libc::ioctl(event.as_raw_fd(), request, argument) } < 0 {
            return Err(last_errno());
        }
    }
    Ok(())
}

/// Of every process, on the first CPU that runs: a program that runs at it runs on all.
fn open(mut event: perf_event_attr) -> Result<OwnedFd, Errno> {
    event.size = size_of::<perf_event_attr>() as u32;
    let online = cpus::online().unwrap_or_default();
    let (any_process, cpu, no_group) = (-1, online.first().copied().unwrap_or(0), -1);
    // SAFETY: the kernel reads `size` bytes, and what they point to; the descriptor is new, and ours.
    unsafe {
        owned(libc::syscall(
            libc::SYS_perf_event_open,
            &raw const event,
            any_process,
            cpu,
            no_group,
            PERF_FLAG_FD_CLOEXEC as libc::c_ulong,
        ))
    }
}

/// From a tracefs of our own, which is in nobody's tree of files and goes when it was read.
fn read_unmounted(path: &str) -> Result<String, Errno> {
    let path = CString::new(path).map_err(|_| libc::EINVAL)?;
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
            return Err(last_errno());
        }
        let mount = owned(libc::syscall(libc::SYS_fsmount, fd, 0, 0))?;
        let flags = libc::O_RDONLY | libc::O_CLOEXEC;
        let file = libc::openat(mount.as_raw_fd(), path.as_ptr(), flags);
        owned(file.into())?.into()
    };
    let mut text = String::new();
    file.read_to_string(&mut text)
        .map_err(|error| error.raw_os_error().unwrap_or(libc::EIO))?;
    Ok(text)
}

/// # Safety
/// What a system call returned that gives a descriptor nobody else has.
unsafe fn owned(result: libc::c_long) -> Result<OwnedFd, Errno> {
    if result < 0 {
        return Err(last_errno());
    }
    // SAFETY: as the caller says.
    Ok(unsafe { OwnedFd::from_raw_fd(result as i32) })
}
