// SPDX-License-Identifier: Apache-2.0

use std::fs::File;
use std::os::fd::AsRawFd;

use libbpf_rs::libbpf_sys::{
    BPF_CGROUP_INET4_GETPEERNAME, BPF_CGROUP_INET6_GETPEERNAME, bpf_obj_get_info_by_fd,
    bpf_prog_get_fd_by_id, bpf_prog_info, bpf_prog_query,
};
use napi_derive::napi;

use crate::error::{Result, fail_errno, last_errno};

/// More programs on one cgroup than this are cut off.
const MAX_PROGRAMS: usize = 64;

#[napi(object)]
pub struct CgroupProgram {
    pub id: u32,
    pub name: String,
}

/// The programs attached to exactly this cgroup that may change what getpeername() returns.
#[napi(catch_unwind)]
pub fn getpeername_programs(cgroup: String) -> Result<Vec<CgroupProgram>> {
    let folder = File::open(&cgroup)
        .map_err(|error| fail_errno(error.raw_os_error().unwrap_or(0), &cgroup))?;
    let mut found = Vec::new();
    for kind in [BPF_CGROUP_INET4_GETPEERNAME, BPF_CGROUP_INET6_GETPEERNAME] {
        let mut ids = [0u32; MAX_PROGRAMS];
        let mut count = MAX_PROGRAMS as u32;
        let mut flags = 0;
        // SAFETY: the kernel writes at most `count` ids into `ids`.
        let failed = unsafe {
            bpf_prog_query(
                folder.as_raw_fd(),
                kind,
                0,
                &mut flags,
                ids.as_mut_ptr(),
                &mut count,
            )
        };
        if failed != 0 {
            return Err(fail_errno(last_errno(), &format!("programs of {cgroup}")));
        }
        found.extend(ids[..count as usize].iter().map(|&id| CgroupProgram {
            id,
            name: name_of(id),
        }));
    }
    Ok(found)
}

/// Empty where the program is gone already.
fn name_of(id: u32) -> String {
    // SAFETY: an all-zero bpf_prog_info is valid, and `len` is its size.
    let name = unsafe {
        let fd = bpf_prog_get_fd_by_id(id);
        if fd < 0 {
            return String::new();
        }
        let mut info: bpf_prog_info = std::mem::zeroed();
        let mut len = size_of::<bpf_prog_info>() as u32;
        bpf_obj_get_info_by_fd(fd, (&raw mut info).cast(), &mut len);
        libc::close(fd);
        info.name
    };
    let bytes = name
        .iter()
        .take_while(|&&byte| byte != 0)
        .map(|&byte| byte as u8);
    String::from_utf8_lossy(&bytes.collect::<Vec<_>>()).into_owned()
}
