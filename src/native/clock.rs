// SPDX-License-Identifier: Apache-2.0

use napi::bindgen_prelude::BigInt;
use napi_derive::napi;

const READINGS: usize = 8;

/// Wall clock minus CLOCK_MONOTONIC in nanoseconds, now: the tightest of a few readings.
#[napi(catch_unwind)]
pub fn clock_offset_ns() -> BigInt {
    offset_ns().into()
}

pub fn offset_ns() -> i64 {
    tightest((0..READINGS).map(|_| {
        let before = now_ns(libc::CLOCK_MONOTONIC);
        let wall = now_ns(libc::CLOCK_REALTIME);
        (before, wall, now_ns(libc::CLOCK_MONOTONIC))
    }))
}

/// Of readings of the monotonic clock before and after the wall clock.
fn tightest(readings: impl Iterator<Item = (i64, i64, i64)>) -> i64 {
    let best = readings.min_by_key(|(before, _, after)| after - before);
    let (before, wall, after) = best.unwrap_or_default();
    wall - (before + (after - before) / 2)
}

/// CLOCK_MONOTONIC, which programs tell the time by.
pub fn monotonic_ns() -> i64 {
    now_ns(libc::CLOCK_MONOTONIC)
}

/// How long the machine was suspended: what CLOCK_BOOTTIME counts beside.
pub fn slept_ns() -> i64 {
    now_ns(libc::CLOCK_BOOTTIME) - monotonic_ns()
}

fn now_ns(clock: libc::clockid_t) -> i64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: writes one timespec; both clocks are always there.
    unsafe { libc::clock_gettime(clock, &mut time) };
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

#[cfg(test)]
mod tests {
    use super::tightest;

    #[test]
    fn takes_the_reading_that_was_interrupted_least() {
        let readings = [
            (0, 1_900, 1_000),
            (2_000, 3_015, 2_010),
            (3_000, 3_900, 3_800),
        ];
        assert_eq!(tightest(readings.into_iter()), 1_010);
    }
}
