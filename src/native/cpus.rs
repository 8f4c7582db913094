// SPDX-License-Identifier: Apache-2.0

use napi_derive::napi;

use crate::error::{Result, fail};

/// How many CPUs this machine may ever have: the length of a per-CPU map's value list.
#[napi(catch_unwind)]
pub fn possible_cpus() -> Result<u32> {
    let cpus = libbpf_rs::num_possible_cpus();
    let cpus = cpus.map_err(|error| fail("EUNKNOWN", format!("possible CPUs: {error}")))?;
    Ok(cpus as u32)
}

/// How many CPUs are running now.
#[napi(catch_unwind)]
pub fn online_cpus() -> Result<u32> {
    online().map(|cpus| cpus.len() as u32)
}

/// The numbers of the CPUs that are running now.
pub fn online() -> Result<Vec<i32>> {
    const PATH: &str = "/sys/devices/system/cpu/online";
    let list = std::fs::read_to_string(PATH)
        .map_err(|error| fail("EUNKNOWN", format!("{PATH}: {error}")))?;
    parse(list.trim()).ok_or_else(|| fail("EUNKNOWN", format!("{PATH} makes no sense: {list}")))
}

/// A CPU list as the kernel writes it: `0-3,8`.
fn parse(list: &str) -> Option<Vec<i32>> {
    let mut cpus = Vec::new();
    for range in list.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        cpus.extend(first.parse::<i32>().ok()?..=last.parse().ok()?);
    }
    Some(cpus)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn reads_ranges_and_single_cpus() {
        assert_eq!(parse("0"), Some(vec![0]));
        assert_eq!(parse("0-2,5,7-8"), Some(vec![0, 1, 2, 5, 7, 8]));
        assert_eq!(parse(""), None);
    }
}
