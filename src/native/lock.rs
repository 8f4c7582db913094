// SPDX-License-Identifier: Apache-2.0

use napi_derive::napi;

/// Whether the open file is this process's alone from here on, until it is closed: others are told no.
#[napi(catch_unwind)]
pub fn lock_file(fd: i32) -> bool {
    // SAFETY: takes two numbers.
    unsafe { libc::flock(fd, libc::LOCK_EX | libc::LOCK_NB) == 0 }
}
