// SPDX-License-Identifier: Apache-2.0
//! What this host did not tell because this process may not ask it.

use std::sync::atomic::{AtomicU32, Ordering};

use napi_derive::napi;

use crate::error::Errno;

static REFUSED: AtomicU32 = AtomicU32::new(0);

/// Counts what a question failed with, where that is a missing capability or a service's own restriction.
pub fn note(errno: Errno) -> Errno {
    if matches!(errno, libc::EPERM | libc::EACCES | libc::EAFNOSUPPORT) {
        REFUSED.fetch_add(1, Ordering::Relaxed);
    }
    errno
}

/// How often that was so, of rules and programs.
#[napi(catch_unwind)]
pub fn host_refused() -> u32 {
    REFUSED.load(Ordering::Relaxed)
}
