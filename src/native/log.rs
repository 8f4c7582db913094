// SPDX-License-Identifier: Apache-2.0
//! libbpf's warnings, caught instead of printed. libbpf calls back on the thread that called it.

use std::cell::RefCell;
use std::sync::Once;

use libbpf_rs::{PrintLevel, set_print};

thread_local! {
    static CAUGHT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `work` and returns what libbpf warned of meanwhile; nothing reaches stderr, then or later.
pub fn catch<T>(work: impl FnOnce() -> T) -> (T, String) {
    silence();
    CAUGHT.with_borrow_mut(|caught| *caught = Some(String::new()));
    let done = work();
    let log = CAUGHT.with_borrow_mut(Option::take).unwrap_or_default();
    (done, log)
}

pub fn silence() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        set_print(Some((PrintLevel::Warn, |_, message| {
            CAUGHT.with_borrow_mut(|caught| {
                if let Some(caught) = caught {
                    caught.push_str(&message);
                }
            });
        })));
    });
}
