// SPDX-License-Identifier: Apache-2.0
//! Waiting for the other half, which may be stopped, without being deaf to who asks this one to end.

use std::mem::{MaybeUninit, transmute};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use napi_derive::napi;

const ENDING: [libc::c_int; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];
/// A signal may come to another thread, which interrupts no call of this one.
const LOOK_EVERY_MS: i32 = 200;

static ASKED: AtomicBool = AtomicBool::new(false);
/// Who had these signals before, in the order of ENDING.
static HANDLERS: [AtomicUsize; 3] = [const { AtomicUsize::new(0) }; 3];

extern "C" fn noticed(signal: libc::c_int) {
    ASKED.store(true, Ordering::SeqCst);
    for (of, handler) in ENDING.iter().zip(&HANDLERS) {
        let handler = handler.load(Ordering::SeqCst);
        if *of == signal && handler != 0 {
            // SAFETY: the address of a handler that takes the number of the signal alone, as Noticing saw it.
            let handler: extern "C" fn(libc::c_int) = unsafe { transmute(handler) };
            handler(signal);
        }
    }
}

/// While it lives, those signals that the process handles are noticed first.
struct Noticing(Vec<(libc::c_int, libc::sigaction)>);

impl Noticing {
    fn begin() -> Self {
        ASKED.store(false, Ordering::SeqCst);
        let mut before = Vec::with_capacity(ENDING.len());
        for (signal, handler) in ENDING.iter().zip(&HANDLERS) {
            let mut action = MaybeUninit::<libc::sigaction>::uninit();
            // SAFETY: the kernel writes what was set, and reads a copy of it with another handler of the same kind.
            unsafe {
                if libc::sigaction(*signal, null(), action.as_mut_ptr()) != 0 {
                    continue;
                }
                let action = action.assume_init();
                let is_default = [libc::SIG_DFL, libc::SIG_IGN].contains(&action.sa_sigaction);
                if is_default || action.sa_flags & libc::SA_SIGINFO != 0 {
                    continue;
                }
                handler.store(action.sa_sigaction, Ordering::SeqCst);
                let mut ours = action;
                ours.sa_sigaction = noticed as *const () as usize;
                if libc::sigaction(*signal, &raw const ours, null_mut()) == 0 {
                    before.push((*signal, action));
                }
            }
        }
        Self(before)
    }
}

impl Drop for Noticing {
    fn drop(&mut self) {
        for (signal, action) in &self.0 {
            // SAFETY: what the kernel gave before.
            unsafe { libc::sigaction(*signal, action, null_mut()) };
        }
    }
}

/// Whether there is something to read, or the other end is closed. False: there was nothing for so many seconds, or
/// for `asked_s` after a signal that asks this process to end. Without `most_s` it waits for as long as no signal comes.
#[napi(catch_unwind)]
pub fn await_answer(fd: i32, most_s: Option<u32>, asked_s: u32) -> bool {
    let _noticing = Noticing::begin();
    let mut until = most_s.map(|s| Instant::now() + Duration::from_secs(s.into()));
    let mut seen = false;
    loop {
        let mut at = libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one descriptor, for the time of the call.
        match unsafe { libc::poll(&raw mut at, 1, LOOK_EVERY_MS) } {
            0 => {}
            -1 if crate::error::last_errno() == libc::EINTR => {}
            // What else is wrong with it reading says.
            _ => return true,
        }
        if !seen && ASKED.load(Ordering::SeqCst) {
            seen = true;
            let soon = Instant::now() + Duration::from_secs(asked_s.into());
            until = Some(until.map_or(soon, |until| until.min(soon)));
        }
        if until.is_some_and(|until| Instant::now() >= until) {
            return false;
        }
    }
}
