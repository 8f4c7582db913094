// SPDX-License-Identifier: Apache-2.0

use std::ffi::CStr;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread;

use napi_derive::napi;

use crate::error::{Errno, Error, Result, fail, fail_errno, last_errno};

/// The name of a network device by its number in the namespace at `netns`, or in ours; null where
/// there is none. Errors: the errno of entering the namespace.
#[napi(catch_unwind)]
pub fn device_name(ifindex: u32, netns: Option<String>) -> Result<Option<String>> {
    run_in(netns.as_deref(), || {
        let mut name = [0 as libc::c_char; libc::IF_NAMESIZE];
        // SAFETY: the kernel writes at most IF_NAMESIZE bytes, the last of them zero.
        let found = unsafe { libc::if_indextoname(ifindex, name.as_mut_ptr()) };
        if found.is_null() {
            return None;
        }
        // SAFETY: as above.
        let name = unsafe { CStr::from_ptr(name.as_ptr()) };
        Some(name.to_string_lossy().into_owned())
    })
}

/// Files of /proc as they are in the namespace at `netns`, or in ours; null for what cannot be read. Those
/// of /proc/net are in thread-self/net. Errors: the errno of entering the namespace.
#[napi(catch_unwind)]
pub fn netns_files(names: Vec<String>, netns: Option<String>) -> Result<Vec<Option<String>>> {
    run_in(netns.as_deref(), || {
        names
            .iter()
            .map(|name| fs::read_to_string(format!("/proc/{name}")).ok())
            .collect()
    })
}

static REFUSED: AtomicU32 = AtomicU32::new(0);

/// How often this process could not enter a network namespace that is there.
#[napi(catch_unwind)]
pub fn netns_refused() -> u32 {
    REFUSED.load(Ordering::Relaxed)
}

static CPU_NS: AtomicU64 = AtomicU64::new(0);

/// What threads that entered a namespace have run on a CPU there, the kernel's answers included, in ms.
#[napi(catch_unwind)]
pub fn netns_cpu_ms() -> f64 {
    CPU_NS.load(Ordering::Relaxed) as f64 / 1e6
}

/// Of this thread, since it began.
fn thread_cpu_ns() -> u64 {
    let mut spent = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: it writes one timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut spent) };
    spent.tv_sec as u64 * 1_000_000_000 + spent.tv_nsec as u64
}

fn refused(errno: Errno, what: &str) -> Error {
    // What a namespace was bound to is a plain file for a moment while it is taken away.
    if !matches!(errno, libc::ENOENT | libc::ESRCH | libc::EINVAL) {
        REFUSED.fetch_add(1, Ordering::Relaxed);
    }
    fail_errno(errno, what)
}

/// Runs `work` in the network namespace at `path`, or where we are. It runs on a thread that ends
/// with it, so the caller's namespace never changes, whatever happens.
pub fn run_in<T: Send>(path: Option<&str>, work: impl FnOnce() -> T + Send) -> Result<T> {
    let Some(path) = path else {
        return Ok(work());
    };
    let netns =
        File::open(path).map_err(|error| refused(error.raw_os_error().unwrap_or(0), path))?;
    thread::scope(|scope| {
        let inside = thread::Builder::new()
            .name("netns".into())
            .spawn_scoped(scope, || {
                // SAFETY: setns takes no pointers.
                if unsafe { libc::setns(netns.as_raw_fd(), libc::CLONE_NEWNET) } != 0 {
                    return Err(refused(last_errno(), &format!("entering netns {path}")));
                }
                let done = work();
                CPU_NS.fetch_add(thread_cpu_ns(), Ordering::Relaxed);
                Ok(done)
            })
            .map_err(|error| {
                fail(
                    "EAGAIN",
                    format!("no thread to enter a netns with: {error}"),
                )
            })?;
        inside
            .join()
            .map_err(|_| fail("EUNKNOWN", format!("panic in netns {path}")))?
    })
}
