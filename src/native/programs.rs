// SPDX-License-Identifier: Apache-2.0

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd};

use libbpf_rs::libbpf_sys::{
    BPF_CGROUP_INET_EGRESS, BPF_CGROUP_INET_INGRESS, BPF_CGROUP_INET4_BIND,
    BPF_CGROUP_INET4_CONNECT, BPF_CGROUP_INET4_GETPEERNAME, BPF_CGROUP_INET6_BIND,
    BPF_CGROUP_INET6_CONNECT, BPF_CGROUP_INET6_GETPEERNAME, BPF_NETKIT_PEER, BPF_NETKIT_PRIMARY,
    BPF_SK_LOOKUP, BPF_TCX_EGRESS, BPF_TCX_INGRESS, bpf_attach_type, bpf_obj_get,
    bpf_obj_get_info_by_fd, bpf_prog_get_fd_by_id, bpf_prog_get_next_id, bpf_prog_info,
    bpf_prog_query,
};
use napi_derive::napi;

use crate::clock::slept_ns;
use crate::error::{Result, fail_errno, last_errno};
use crate::netns::run_in;
use crate::refused;

/// More programs at one hook than this are cut off.
const MAX_PROGRAMS: usize = 64;

#[napi(object)]
pub struct BpfProgram {
    pub id: u32,
    pub name: String,
}

#[napi(object)]
pub struct HookedProgram {
    pub hook: String,
    pub id: u32,
    pub name: String,
}

impl HookedProgram {
    fn new(hook: &str, id: u32) -> Self {
        Self {
            hook: hook.into(),
            id,
            name: name_of(id),
        }
    }
}

const DEVICE_HOOKS: [(&str, bpf_attach_type); 4] = [
    ("tcx ingress", BPF_TCX_INGRESS),
    ("tcx egress", BPF_TCX_EGRESS),
    ("netkit primary", BPF_NETKIT_PRIMARY),
    ("netkit peer", BPF_NETKIT_PEER),
];

/// The programs at the hooks of a device that netlink does not tell of, in the namespace at `netns` or in
/// ours. A hook that this kernel lacks has none.
#[napi(catch_unwind)]
pub fn device_programs(ifindex: u32, netns: Option<String>) -> Result<Vec<HookedProgram>> {
    run_in(netns.as_deref(), || hooked(ifindex as i32, &DEVICE_HOOKS))
}

/// The programs attached to exactly this cgroup that see what its sockets send and receive, dial or bind.
#[napi(catch_unwind)]
pub fn cgroup_programs(cgroup: String) -> Result<Vec<HookedProgram>> {
    let folder = open(&cgroup)?;
    Ok(hooked(
        folder.as_raw_fd(),
        &[
            ("cgroup ingress", BPF_CGROUP_INET_INGRESS),
            ("cgroup egress", BPF_CGROUP_INET_EGRESS),
            ("cgroup connect4", BPF_CGROUP_INET4_CONNECT),
            ("cgroup connect6", BPF_CGROUP_INET6_CONNECT),
            ("cgroup bind4", BPF_CGROUP_INET4_BIND),
            ("cgroup bind6", BPF_CGROUP_INET6_BIND),
        ],
    ))
}

/// The programs that choose sockets for what arrives in the namespace at this path.
#[napi(catch_unwind)]
pub fn lookup_programs(netns: String) -> Result<Vec<HookedProgram>> {
    let netns = open(&netns)?;
    Ok(hooked(netns.as_raw_fd(), &[("sk_lookup", BPF_SK_LOOKUP)]))
}

/// Every program of these types (enum bpf_prog_type) that this kernel has.
#[napi(catch_unwind)]
pub fn programs_of_types(types: Vec<u32>) -> Vec<BpfProgram> {
    let mut found = Vec::new();
    let mut id = 0;
    // SAFETY: the kernel writes one id.
    while unsafe { bpf_prog_get_next_id(id, &mut id) } == 0 {
        if let Some(info) = info_of(id)
            && types.contains(&info.type_)
        {
            found.push(BpfProgram {
                id,
                name: text_of(&info.name),
            });
        }
    }
    found
}

/// Empty where the program is gone, and where it has no name.
#[napi(catch_unwind)]
pub fn program_name(id: u32) -> String {
    name_of(id)
}

/// CLOCK_MONOTONIC when a program was loaded, which the kernel tells by CLOCK_BOOTTIME; 0: it is gone.
#[napi(catch_unwind)]
pub fn program_loaded_ns(id: u32) -> i64 {
    info_of(id).map_or(0, |info| info.load_time as i64 - slept_ns())
}

fn open(path: &str) -> Result<File> {
    File::open(path).map_err(|error| fail_errno(error.raw_os_error().unwrap_or(0), path))
}

fn hooked(target: i32, hooks: &[(&str, bpf_attach_type)]) -> Vec<HookedProgram> {
    let ids = hooks
        .iter()
        .map(|&(hook, kind)| (hook, query(target, kind).unwrap_or_default()));
    ids.flat_map(|(hook, ids)| ids.into_iter().map(move |id| HookedProgram::new(hook, id)))
        .collect()
}

/// Ids of the programs at a hook; none where the kernel refuses to say.
fn query(target: i32, kind: bpf_attach_type) -> Option<Vec<u32>> {
    let mut ids = [0u32; MAX_PROGRAMS];
    let mut count = MAX_PROGRAMS as u32;
    let mut flags = 0;
    // SAFETY: the kernel writes at most `count` ids into `ids`.
    let failed =
        unsafe { bpf_prog_query(target, kind, 0, &mut flags, ids.as_mut_ptr(), &mut count) };
    if failed != 0 {
        refused::note(-failed);
        return None;
    }
    Some(ids[..(count as usize).min(MAX_PROGRAMS)].to_vec())
}

/// The programs attached to exactly this cgroup that may change what getpeername() returns.
#[napi(catch_unwind)]
pub fn getpeername_programs(cgroup: String) -> Result<Vec<BpfProgram>> {
    let folder = open(&cgroup)?;
    let mut found = Vec::new();
    for kind in [BPF_CGROUP_INET4_GETPEERNAME, BPF_CGROUP_INET6_GETPEERNAME] {
        let ids = query(folder.as_raw_fd(), kind)
            .ok_or_else(|| fail_errno(last_errno(), &format!("programs of {cgroup}")))?;
        found.extend(ids.into_iter().map(|id| BpfProgram {
            id,
            name: name_of(id),
        }));
    }
    Ok(found)
}

/// Empty where the program is gone already.
fn name_of(id: u32) -> String {
    info_of(id)
        .map(|info| text_of(&info.name))
        .unwrap_or_default()
}

fn info_of(id: u32) -> Option<bpf_prog_info> {
    // SAFETY: an all-zero bpf_prog_info is valid, and `len` is its size.
    unsafe {
        let fd = bpf_prog_get_fd_by_id(id);
        if fd < 0 {
            refused::note(-fd);
            return None;
        }
        let mut info: bpf_prog_info = std::mem::zeroed();
        let mut len = size_of::<bpf_prog_info>() as u32;
        bpf_obj_get_info_by_fd(fd, (&raw mut info).cast(), &mut len);
        libc::close(fd);
        Some(info)
    }
}

fn text_of(name: &[libc::c_char]) -> String {
    let bytes = name
        .iter()
        .take_while(|&&byte| byte != 0)
        .map(|&byte| byte as u8);
    String::from_utf8_lossy(&bytes.collect::<Vec<_>>()).into_owned()
}

/// Which program a file of a BPF file system has pinned, by itself or by its link; none of a map.
#[napi(catch_unwind)]
pub fn pinned_program(path: String) -> Option<u32> {
    let path = CString::new(path).ok()?;
    // SAFETY: the path ends with a zero byte; the file owns the new descriptor.
    let pinned = unsafe {
        match bpf_obj_get(path.as_ptr()) {
            fd if fd < 0 => return None,
            fd => File::from_raw_fd(fd),
        }
    };
    let info = format!("/proc/self/fdinfo/{}", pinned.as_raw_fd());
    let text = std::fs::read_to_string(info).ok()?;
    let id = text
        .lines()
        .find_map(|line| line.strip_prefix("prog_id:"))?;
    id.trim().parse().ok()
}
