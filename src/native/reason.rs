// SPDX-License-Identifier: Apache-2.0
//! One line that says why a program did not load, out of libbpf's and the verifier's many.

use crate::error::describe;

const LOG_BEGIN: &str = "-- BEGIN PROG LOAD LOG --";
const LOG_END: &str = "-- END PROG LOAD LOG --";
const LINES: usize = 2;
const LENGTH: usize = 400;

/// The program that libbpf gave up on: the last one it warned of.
pub fn culprit(log: &str) -> Option<&str> {
    log.rmatch_indices("prog '").find_map(|(at, mark)| {
        let rest = &log[at + mark.len()..];
        rest.split_once("': ").map(|(name, _)| name)
    })
}

/// Why loading failed, from the errno and libbpf's log.
pub fn of_load(kind: &str, errno: i32, log: &str) -> String {
    let verifier = verifier_log(log).map(last_lines).unwrap_or_default();
    if let Some((_, relocation)) = verifier.split_once("failed to resolve CO-RE relocation ") {
        let (_, what) = relocation.split_once("] ").unwrap_or(("", relocation));
        return format!(
            "this kernel has no {}",
            what.split(" (").next().unwrap_or(what)
        );
    }
    match errno {
        _ if errno != libc::EPERM && verifier.is_empty() => {
            format!("{}: {}", describe(errno), last_lines(log))
        }
        _ => of_trial(kind, errno, &verifier),
    }
}

/// Why a program of no more than two instructions was refused, from what the verifier said.
pub fn of_trial(kind: &str, errno: i32, verifier: &str) -> String {
    match (errno, last_lines(verifier)) {
        (libc::EPERM, said) if said.is_empty() => format!("{kind}: {}", not_permitted(kind)),
        (libc::EPERM, said) => format!("{kind}: {}: {said}", not_permitted(kind)),
        (libc::EACCES, _) if kind == "tp" => format!("{kind}: {}", not_permitted(kind)),
        (_, said) if said.is_empty() => format!("{kind}: {}", describe(errno)),
        (_, said) => format!("rejected by the verifier: {said}"),
    }
}

/// Why attaching failed.
pub fn of_attach(kind: &str, errno: i32, log: &str) -> String {
    match (kind, errno) {
        (_, libc::EPERM) | ("tp", libc::EACCES) => format!("{kind}: {}", not_permitted(kind)),
        ("kprobe" | "kretprobe", _) if !has_kprobes() => {
            "this kernel has no kprobes (CONFIG_KPROBE_EVENTS), or tracefs is not mounted".into()
        }
        (_, libc::ENOENT | libc::ESRCH) => {
            format!(
                "{kind}: this kernel has no such target: {}",
                last_lines(log)
            )
        }
        _ => format!("{kind}: {}: {}", describe(errno), last_lines(log)),
    }
}

/// What makes them appear in the kernel as perf events.
pub const KPROBES: &str = "/sys/bus/event_source/devices/kprobe";

pub fn has_kprobes() -> bool {
    std::path::Path::new(KPROBES).exists()
}

const SYS_ADMIN: u64 = 1 << 21;
const BPF_AND_PERFMON: u64 = 1 << 39 | 1 << 38;
const DAC_READ_SEARCH: u64 = 1 << 2;
/// Of the first user namespace: every user is who it is.
const EVERYBODY: [&str; 3] = ["0", "0", "4294967295"];

/// Whether this process holds what loading tracing programs takes.
pub fn privileged() -> bool {
    let effective = effective();
    effective & SYS_ADMIN != 0 || effective & BPF_AND_PERFMON == BPF_AND_PERFMON
}

fn effective() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0)
}

fn in_user_namespace() -> bool {
    std::fs::read_to_string("/proc/self/uid_map")
        .is_ok_and(|map| !map.split_whitespace().eq(EVERYBODY))
}

fn not_permitted(kind: &str) -> &'static str {
    if !privileged() {
        "not permitted (EPERM): needs root, or CAP_BPF and CAP_PERFMON"
    } else if in_user_namespace() {
        "not permitted (EPERM): capabilities of a user namespace, as of a rootless container, do not count"
    } else if kind == "tp" && effective() & DAC_READ_SEARCH == 0 {
        "not permitted: needs CAP_DAC_READ_SEARCH, to read tracefs"
    } else {
        "this kernel does not permit it (EPERM), whatever the privilege"
    }
}

fn verifier_log(log: &str) -> Option<&str> {
    let (_, rest) = log.rsplit_once(LOG_BEGIN)?;
    Some(rest.split(LOG_END).next().unwrap_or(rest))
}

/// The last few lines that carry a meaning, joined into one.
pub fn last_lines(log: &str) -> String {
    let mut lines: Vec<&str> = log
        .lines()
        .map(|line| line.trim().trim_start_matches("libbpf: "))
        .filter(|line| !line.is_empty() && !is_noise(line))
        .rev()
        .take(LINES)
        .collect();
    lines.reverse();
    let joined = lines.join(" | ");
    match joined.char_indices().rev().nth(LENGTH) {
        Some((cut, _)) => format!("…{}", &joined[cut..]),
        None => joined,
    }
}

fn is_noise(line: &str) -> bool {
    const NOISE: [&str; 8] = [
        "; ",
        "processed ",
        "verification time ",
        "stack depth ",
        "mark_precise: ",
        "failed to load object ",
        "failed to load BPF skeleton ",
        "-- ",
    ];
    NOISE.iter().any(|start| line.starts_with(start)) || line.contains(": failed to load: ")
}

#[cfg(test)]
mod tests {
    use super::{culprit, of_load};

    const LOG: &str = "\
libbpf: prog 'first': something odd
libbpf: prog 'second': BPF program load failed: -EACCES
libbpf: prog 'second': -- BEGIN PROG LOAD LOG --
0: R1=ctx() R10=fp0
; return *(int *)0; @ try.c:3
0: (61) r0 = *(u32 *)(r1 +800)
invalid bpf_context access off=800 size=4
processed 1 insns (limit 1000000) max_states_per_insn 0
-- END PROG LOAD LOG --
libbpf: prog 'second': failed to load: -EACCES
libbpf: failed to load object 'try.bpf.o'
";

    #[test]
    fn blames_the_last_program_named() {
        assert_eq!(culprit(LOG), Some("second"));
        assert_eq!(
            culprit("libbpf: Error in bpf_object__probe_loading(): -EPERM."),
            None
        );
    }

    #[test]
    fn ends_with_what_the_verifier_said_last() {
        let reason = of_load("tp_btf", libc::EACCES, LOG);
        assert!(reason.starts_with("rejected by the verifier: "), "{reason}");
        assert!(
            reason.ends_with("invalid bpf_context access off=800 size=4"),
            "{reason}"
        );
        assert!(!reason.contains('\n'));
    }
}
