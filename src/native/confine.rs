// SPDX-License-Identifier: Apache-2.0
//! What a process gives up for good, so that whoever takes it over has not got it.

use libbpf_rs::libbpf_sys::{
    BPF_ITER_CREATE, BPF_LINK_CREATE, BPF_MAP_DELETE_ELEM, BPF_MAP_GET_NEXT_KEY,
    BPF_MAP_LOOKUP_BATCH, BPF_MAP_LOOKUP_ELEM, BPF_MAP_UPDATE_ELEM, BPF_OBJ_GET,
    BPF_OBJ_GET_INFO_BY_FD, BPF_PROG_GET_FD_BY_ID, BPF_PROG_GET_NEXT_ID, BPF_PROG_QUERY,
};
use napi_derive::napi;

use crate::error::{Result, fail_errno, last_errno};

/// Both ends of a new pipe, to read from and to write to; no program that is run later has them.
#[napi(catch_unwind)]
pub fn pipe() -> Result<Vec<i32>> {
    let mut ends = [0; 2];
    // SAFETY: writes two descriptors.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
        return Err(fail_errno(last_errno(), "pipe"));
    }
    Ok(ends.to_vec())
}

/// Programs that this process runs from here on get no capabilities but these, not even as root. Of this
/// thread. Errors: EPERM without CAP_SETPCAP, where there is any to take away.
#[napi(catch_unwind)]
pub fn bound_capabilities(kept: Vec<u32>) -> Result<()> {
    for capability in 0..64 {
        // SAFETY: takes a number; -1 for one that the kernel does not know.
        let has = unsafe { libc::prctl(libc::PR_CAPBSET_READ, capability, 0, 0, 0) };
        if has != 1 || kept.contains(&capability) {
            continue;
        }
        // SAFETY: takes a number.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) } != 0 {
            return Err(fail_errno(
                last_errno(),
                &format!("to do without capability {capability}"),
            ));
        }
    }
    Ok(())
}

/// What this thread may have stays so when the process becomes another user.
#[napi(catch_unwind)]
pub fn keep_capabilities() -> Result<()> {
    // SAFETY: takes numbers.
    if unsafe { libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0) } != 0 {
        return Err(fail_errno(last_errno(), "to keep capabilities"));
    }
    Ok(())
}

/// struct __user_cap_header_struct and __user_cap_data_struct.
const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

/// This thread has these capabilities from here on, of those it may have, and no others; none that it runs or
/// begins has more, nor gets new privileges.
#[napi(catch_unwind)]
pub fn limit_capabilities(kept: Vec<u32>) -> Result<()> {
    let mut data = [[0_u32; 3]; 2];
    for capability in kept {
        let [effective, permitted, _] = &mut data[capability as usize / 32];
        *effective |= 1 << (capability % 32);
        *permitted |= 1 << (capability % 32);
    }
    let header = [CAPABILITY_VERSION_3, 0];
    // SAFETY: reads both, which are as large as it takes them for; prctl takes numbers.
    let refused = unsafe {
        libc::syscall(libc::SYS_capset, &raw const header, &raw const data) != 0
            || libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
    };
    if refused {
        return Err(fail_errno(last_errno(), "to give capabilities up"));
    }
    Ok(())
}

/// Lets what this process runs from here on lock as much memory as it asks for, as rings do, and maps before
/// 5.11. False without CAP_SYS_RESOURCE.
#[napi(catch_unwind)]
pub fn lock_without_limit() -> bool {
    limit_locked(libc::RLIM_INFINITY)
}

fn limit_locked(bytes: libc::rlim_t) -> bool {
    let limit = libc::rlimit {
        rlim_cur: bytes,
        rlim_max: bytes,
    };
    // SAFETY: reads the limit.
    unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit) == 0 }
}

/// Which half of tcpwhy a process is.
#[napi(string_enum = "lowercase")]
pub enum Half {
    /// Reads the kernel, as root.
    Reader,
    /// Everything else, as whoever called it.
    Front,
    /// The same, which tells a collector by the network.
    Teller,
    /// The same, which serves its metrics too.
    Server,
}

/// Takes from every thread, for good, the system calls that this half has no use for, and new privileges
/// by programs that it runs: it can run none. Errors: what the kernel refused.
#[napi(catch_unwind)]
pub fn confine(half: Half) -> Result<()> {
    if !matches!(half, Half::Reader) {
        limit_locked(0);
    }
    apply(&half, libc::SECCOMP_FILTER_FLAG_TSYNC)
}

fn apply(half: &Half, flags: libc::c_ulong) -> Result<()> {
    let filter = filter(half);
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_ptr().cast_mut(),
    };
    // SAFETY: takes numbers.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        return Err(fail_errno(last_errno(), "no_new_privs"));
    }
    // SAFETY: the program lives until the kernel has copied it.
    let refused = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &program,
        )
    };
    match refused {
        0 => Ok(()),
        thread if thread > 0 => Err(fail_errno(libc::ESRCH, "a filter for every thread")),
        _ => Err(fail_errno(last_errno(), "a filter of system calls")),
    }
}

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// Of neither half: programs, other processes, modules, mounts, other users, the clock, and what goes
/// around a filter (io_uring).
const OF_NEITHER: &[libc::c_long] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_tkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fspick,
    libc::SYS_fsmount,
    libc::SYS_mount_setattr,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_setgroups,
    libc::SYS_capset,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_io_uring_setup,
    libc::SYS_userfaultfd,
    libc::SYS_open_by_handle_at,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_personality,
];

/// The libc of arm64 has no name for it.
const FCHMODAT2: libc::c_long = 452;

/// The reader writes nothing but its answers: it makes, changes and removes no file, ends nobody, and asks no
/// service, which would take it for root.
const NOT_OF_THE_READER: &[libc::c_long] = &[
    libc::SYS_openat2,
    libc::SYS_unlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_mkdirat,
    libc::SYS_mknodat,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    FCHMODAT2,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_truncate,
    libc::SYS_ftruncate,
    libc::SYS_utimensat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    libc::SYS_kill,
    libc::SYS_connect,
    libc::SYS_socketpair,
    libc::SYS_listen,
    libc::SYS_accept4,
];

/// What it asks the kernel by: rules of nftables and of iptables, devices, routes, sockets.
const FAMILIES_OF_THE_READER: &[libc::c_int] = &[libc::AF_NETLINK, libc::AF_INET, libc::AF_INET6];

/// What the reader does with BPF once it watches: it reads and writes maps, runs iterators, and asks which
/// programs there are. It loads none, and makes, pins and attaches nothing.
const OF_BPF: &[u32] = &[
    BPF_MAP_LOOKUP_ELEM,
    BPF_MAP_UPDATE_ELEM,
    BPF_MAP_DELETE_ELEM,
    BPF_MAP_GET_NEXT_KEY,
    BPF_MAP_LOOKUP_BATCH,
    BPF_OBJ_GET,
    BPF_OBJ_GET_INFO_BY_FD,
    BPF_PROG_GET_NEXT_ID,
    BPF_PROG_GET_FD_BY_ID,
    BPF_PROG_QUERY,
    BPF_LINK_CREATE,
    BPF_ITER_CREATE,
];

/// The front has the bytes of the reader and files of its user.
const NOT_OF_THE_FRONT: &[libc::c_long] =
    &[libc::SYS_bpf, libc::SYS_perf_event_open, libc::SYS_setns];

/// Where it tells a collector it connects, to whom its host leads: by TCP, and for names by UDP. No service of this
/// host that trusts its user (sockets of UNIX) is asked, and only what serves metrics is connected to.
const FAMILIES_OF_THE_TELLER: &[libc::c_int] = &[libc::AF_INET, libc::AF_INET6];
const NOT_OF_THE_TELLER: &[libc::c_long] = &[
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
];

/// Of x86-64 only: other architectures have just those that end in `at`.
#[cfg(target_arch = "x86_64")]
const OLD_OF_NEITHER: &[libc::c_long] = &[libc::SYS_iopl, libc::SYS_ioperm];
#[cfg(target_arch = "x86_64")]
const OLD_NOT_OF_THE_READER: &[libc::c_long] = &[
    libc::SYS_creat,
    libc::SYS_unlink,
    libc::SYS_rename,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_mknod,
    libc::SYS_link,
    libc::SYS_symlink,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_futimesat,
];
#[cfg(not(target_arch = "x86_64"))]
const OLD_OF_NEITHER: &[libc::c_long] = &[];
#[cfg(not(target_arch = "x86_64"))]
const OLD_NOT_OF_THE_READER: &[libc::c_long] = &[];

/// Where struct seccomp_data has the number of the call, the architecture, and the low half of an argument.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const fn argument(index: u32) -> u32 {
    16 + 8 * index
}

const WRITES: u32 = (libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC) as u32;
const REFUSED: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
/// As of an older kernel: these lists do not know what calls that are newer do.
const UNKNOWN: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
/// Of Linux 6.10. From 424 on each has one number on all architectures.
const NEWEST: u32 = libc::SYS_mseal as u32;
/// Calls of x86-64 by the numbers of its 32 bit form have this bit.
const X32: u32 = 0x4000_0000;

fn filter(half: &Half) -> Vec<libc::sock_filter> {
    let more = match half {
        Half::Reader => [NOT_OF_THE_READER, OLD_NOT_OF_THE_READER].concat(),
        Half::Front => [NOT_OF_THE_FRONT, &[libc::SYS_socket]].concat(),
        Half::Teller => [NOT_OF_THE_FRONT, NOT_OF_THE_TELLER].concat(),
        Half::Server => NOT_OF_THE_FRONT.to_vec(),
    };
    let mut filter = vec![
        load(ARCH),
        jump(libc::BPF_JEQ, ARCHITECTURE, 1, 0),
        give(REFUSED),
        load(NUMBER),
        jump(libc::BPF_JGE, X32, 0, 1),
        give(REFUSED),
        jump(libc::BPF_JGT, NEWEST, 0, 1),
        give(UNKNOWN),
    ];
    for call in [OF_NEITHER, OLD_OF_NEITHER, &more].concat() {
        filter.push(jump(libc::BPF_JEQ, call as u32, 0, 1));
        filter.push(give(REFUSED));
    }
    // Signals to itself only: abort() and pthread_kill() send them, and what ends by a signal after it has cleaned up.
    // Limits of its own. The agent's unit is the same user as the readers.
    let own = std::process::id();
    for (call, first) in [
        (libc::SYS_kill, own),
        (libc::SYS_tgkill, own),
        (libc::SYS_prlimit64, 0),
    ] {
        filter.extend(only_with(call, &[first]));
    }
    if let Half::Reader = half {
        for &(call, flags) in OPENING {
            filter.extend([
                jump(libc::BPF_JEQ, call as u32, 0, 4),
                load(argument(flags)),
                jump(libc::BPF_JSET, WRITES, 0, 1),
                give(REFUSED),
                give(libc::SECCOMP_RET_ALLOW),
            ]);
        }
        filter.extend(only_families(FAMILIES_OF_THE_READER));
        // The last that is looked for: what is loaded then stays so.
        filter.extend([
            jump(libc::BPF_JEQ, libc::SYS_bpf as u32, 1, 0),
            give(libc::SECCOMP_RET_ALLOW),
            load(argument(0)),
        ]);
        for &command in OF_BPF {
            filter.push(jump(libc::BPF_JEQ, command, 0, 1));
            filter.push(give(libc::SECCOMP_RET_ALLOW));
        }
        filter.push(give(REFUSED));
        return filter;
    }
    if matches!(half, Half::Teller | Half::Server) {
        // No protocol but the usual one: others are loaded where they are asked for.
        filter.extend([
            jump(libc::BPF_JEQ, libc::SYS_socket as u32, 0, 4),
            load(argument(2)),
            jump(libc::BPF_JEQ, 0, 1, 0),
            give(REFUSED),
            load(NUMBER),
        ]);
        filter.extend(only_families(FAMILIES_OF_THE_TELLER));
    }
    filter.push(give(libc::SECCOMP_RET_ALLOW));
    filter
}

/// Sockets of these families.
fn only_families(families: &[libc::c_int]) -> Vec<libc::sock_filter> {
    let families: Vec<u32> = families.iter().map(|&one| one as u32).collect();
    only_with(libc::SYS_socket, &families)
}

/// This call with one of these as its first argument, and else not.
fn only_with(call: libc::c_long, first: &[u32]) -> Vec<libc::sock_filter> {
    let count = first.len() as u8;
    let mut filter = vec![
        jump(libc::BPF_JEQ, call as u32, 0, count + 3),
        load(argument(0)),
    ];
    for (&value, left) in first.iter().zip((1..=count).rev()) {
        filter.push(jump(libc::BPF_JEQ, value, left, 0));
    }
    filter.extend([give(REFUSED), give(libc::SECCOMP_RET_ALLOW)]);
    filter
}

/// Which argument has the flags.
#[cfg(target_arch = "x86_64")]
const OPENING: &[(libc::c_long, u32)] = &[(libc::SYS_openat, 2), (libc::SYS_open, 1)];
#[cfg(not(target_arch = "x86_64"))]
const OPENING: &[(libc::c_long, u32)] = &[(libc::SYS_openat, 2)];

fn load(offset: u32) -> libc::sock_filter {
    step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset, 0, 0)
}

fn jump(how: u32, value: u32, yes: u8, no: u8) -> libc::sock_filter {
    step(libc::BPF_JMP | how | libc::BPF_K, value, yes, no)
}

fn give(value: u32) -> libc::sock_filter {
    step(libc::BPF_RET | libc::BPF_K, value, 0, 0)
}

fn step(code: u32, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel says to each of these calls, of a thread that is this half.
    fn answers(half: Half, calls: &[(libc::c_long, [libc::c_long; 3])]) -> Vec<i32> {
        let calls = calls.to_vec();
        let asked = move || {
            apply(&half, 0).unwrap();
            let ask = |(call, [a, b, c]): (libc::c_long, [libc::c_long; 3])| {
                // SAFETY: what is not refused has nothing to work with, or makes a descriptor.
                let answer = unsafe { libc::syscall(call, a, b, c, 0, 0) };
                if answer < 0 { last_errno() } else { 0 }
            };
            calls.into_iter().map(ask).collect()
        };
        std::thread::spawn(asked).join().unwrap()
    }

    const NO_FILE: [libc::c_long; 3] = [-1, 0, 0];
    const MADE_SINCE: libc::c_long = NEWEST as libc::c_long + 1;

    #[test]
    fn the_reader_changes_no_file_and_asks_no_service() {
        let dgram = libc::c_long::from(libc::SOCK_DGRAM);
        let of = |family: libc::c_int| [libc::c_long::from(family), dgram, 0];
        let own = libc::c_long::from(std::process::id());
        let refused = [
            (libc::SYS_fchmodat, NO_FILE),
            (FCHMODAT2, NO_FILE),
            (libc::SYS_lsetxattr, NO_FILE),
            (libc::SYS_utimensat, NO_FILE),
            (libc::SYS_connect, NO_FILE),
            (libc::SYS_socketpair, of(libc::AF_UNIX)),
            (libc::SYS_socket, of(libc::AF_UNIX)),
            (libc::SYS_socket, of(libc::AF_PACKET)),
            (libc::SYS_prlimit64, [1, 0, 0]),
            (libc::SYS_tgkill, [1, 1, 0]),
        ];
        let calls = answers(Half::Reader, &refused);
        assert_eq!(calls, vec![libc::EPERM; refused.len()]);
        let allowed = [
            (libc::SYS_socket, of(libc::AF_NETLINK)),
            (libc::SYS_socket, of(libc::AF_INET)),
            (libc::SYS_socket, of(libc::AF_INET6)),
            (libc::SYS_prlimit64, [0, 0, 0]),
        ];
        assert_eq!(answers(Half::Reader, &allowed), [0; 4]);
        // No such thread: it got as far as looking for it.
        let to_itself = [(libc::SYS_tgkill, [own, libc::c_long::from(i32::MAX), 0])];
        assert_eq!(answers(Half::Reader, &to_itself), [libc::ESRCH]);
    }

    #[test]
    fn what_tells_a_collector_connects_and_no_more() {
        let stream = libc::c_long::from(libc::SOCK_STREAM);
        let of = |family: libc::c_int, protocol: libc::c_int| {
            let [family, protocol] = [family, protocol].map(libc::c_long::from);
            (libc::SYS_socket, [family, stream, protocol])
        };
        let allowed = [of(libc::AF_INET, 0), of(libc::AF_INET6, 0)];
        let refused = [
            of(libc::AF_UNIX, 0),
            of(libc::AF_NETLINK, 0),
            of(libc::AF_PACKET, 0),
            of(libc::AF_INET, libc::IPPROTO_SCTP),
        ];
        let serves = [
            libc::SYS_bind,
            libc::SYS_listen,
            libc::SYS_accept,
            libc::SYS_accept4,
        ]
        .map(|call| (call, NO_FILE));
        for half in [Half::Teller, Half::Server] {
            let listens = matches!(half, Half::Server);
            let calls = [&allowed[..], &refused, &serves].concat();
            let expected = [
                vec![0; allowed.len()],
                vec![libc::EPERM; refused.len()],
                vec![if listens { libc::EBADF } else { libc::EPERM }; serves.len()],
            ];
            assert_eq!(answers(half, &calls), expected.concat());
        }
        let none = answers(Half::Front, &[allowed[0], refused[0]]);
        assert_eq!(none, [libc::EPERM; 2]);
    }

    #[test]
    fn neither_half_makes_calls_that_are_newer_than_the_lists() {
        for half in [Half::Reader, Half::Front, Half::Teller, Half::Server] {
            assert_eq!(answers(half, &[(MADE_SINCE, NO_FILE)]), [libc::ENOSYS]);
        }
    }
}
