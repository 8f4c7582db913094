// SPDX-License-Identifier: Apache-2.0
//! Where a program runs, as its ELF section says: `tp_btf/kfree_skb`. Those of bpf/ are of tp_btf, fentry,
//! fexit, iter, raw_tp, tp, kprobe and kretprobe; others are not known here.

use std::ffi::CString;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use libbpf_rs::libbpf_sys::{
    BPF_PROG_TYPE_KPROBE, BPF_PROG_TYPE_RAW_TRACEPOINT, BPF_PROG_TYPE_TRACEPOINT,
    BPF_PROG_TYPE_TRACING, BPF_TRACE_ITER, BPF_TRACE_RAW_TP, BTF_KIND_FUNC, BTF_KIND_TYPEDEF,
    bpf_attach_type, bpf_insn, bpf_link_create, bpf_prog_load, bpf_prog_load_opts, bpf_prog_type,
    bpf_program__expected_attach_type, bpf_program__type, bpf_raw_tracepoint_open,
};
use libbpf_rs::{AsRawLibbpf, OpenProgram};

use crate::error::Errno;
use crate::{perf_event, reason};

/// Helpers of the kernel are for programs under the GPL, as those of bpf/ are.
const LICENSE: &std::ffi::CStr = c"Dual BSD/GPL";
const TRIAL_LOG_BYTES: usize = 4096;
/// `r0 = 0` and `exit`.
const MOVE: u8 = 0xb7;
const EXIT: u8 = 0x95;

#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Hook {
    /// The section's first word: `tp_btf`, `kprobe`.
    pub kind: String,
    target: CString,
    program: bpf_prog_type,
    attach: bpf_attach_type,
    /// Of the target in the kernel's BTF, where the hook goes by that.
    btf_id: u32,
}

impl Hook {
    pub fn of(program: &OpenProgram) -> Self {
        let section = program.section().to_string_lossy();
        let section = section.trim_start_matches('?');
        let (kind, target) = section.split_once('/').unwrap_or((section, ""));
        let raw = program.as_libbpf_object().as_ptr();
        Self {
            kind: kind.to_string(),
            target: CString::new(target).unwrap_or_default(),
            // SAFETY: the program is live.
            program: unsafe { bpf_program__type(raw) },
            attach: unsafe { bpf_program__expected_attach_type(raw) },
            btf_id: 0,
        }
    }

    pub fn is_iterator(&self) -> bool {
        self.attach == BPF_TRACE_ITER && self.program == BPF_PROG_TYPE_TRACING
    }

    /// What stands for the target in the kernel's BTF: kind and name. None where it goes by its name.
    pub fn btf_name(&self) -> Option<(u32, String)> {
        if self.program != BPF_PROG_TYPE_TRACING {
            return None;
        }
        let target = self.target.to_string_lossy();
        Some(match self.attach {
            BPF_TRACE_RAW_TP => (BTF_KIND_TYPEDEF, format!("btf_trace_{target}")),
            BPF_TRACE_ITER => (BTF_KIND_FUNC, format!("bpf_iter_{target}")),
            _ => (BTF_KIND_FUNC, target.into_owned()),
        })
    }

    /// Takes the number of `btf_name`, or says why there is none; `None`: the kernel has no BTF.
    pub fn found(&mut self, id: Option<Option<u32>>) -> Option<String> {
        let kind = &self.kind;
        match id {
            None => Some(format!(
                "{kind} needs the kernel's own BTF (CONFIG_DEBUG_INFO_BTF), which this one lacks"
            )),
            Some(None) => {
                let what = match self.attach {
                    BPF_TRACE_RAW_TP => "tracepoint",
                    BPF_TRACE_ITER => "iterator",
                    _ => "function",
                };
                let target = self.target.to_string_lossy();
                Some(format!("this kernel has no {what} {target}"))
            }
            Some(Some(id)) => {
                self.btf_id = id;
                None
            }
        }
    }

    /// Loads a program for this hook; what belongs to the program itself is in `options`.
    pub fn load(
        &self,
        name: &CString,
        instructions: &[bpf_insn],
        mut options: bpf_prog_load_opts,
    ) -> Result<OwnedFd, Errno> {
        options.sz = size_of::<bpf_prog_load_opts>() as u64;
        options.expected_attach_type = self.attach;
        options.attach_btf_id = self.btf_id;
        // SAFETY: the kernel reads what the pointers have, as long as their lengths say.
        let loaded = unsafe {
            bpf_prog_load(
                self.program,
                name.as_ptr(),
                LICENSE.as_ptr(),
                instructions.as_ptr(),
                instructions.len() as u64,
                &mut options,
            )
        };
        owned(loaded)
    }

    /// Why the kernel takes no program here, as far as one of two instructions tells.
    pub fn refused(&self) -> Option<String> {
        if self.program == BPF_PROG_TYPE_KPROBE && !reason::has_kprobes() {
            return Some(reason::of_attach(&self.kind, libc::ENOENT, ""));
        }
        if self.program == BPF_PROG_TYPE_TRACEPOINT
            && let Err(errno) = perf_event::tracepoint_id(&self.target.to_string_lossy())
        {
            return Some(self.not_attached(errno));
        }
        let [mut set, mut exit] = [bpf_insn::default(); 2];
        (set.code, exit.code) = (MOVE, EXIT);
        let mut log = vec![0u8; TRIAL_LOG_BYTES];
        let options = bpf_prog_load_opts {
            log_buf: log.as_mut_ptr().cast(),
            log_size: TRIAL_LOG_BYTES as u32,
            log_level: 1,
            ..Default::default()
        };
        let errno = self.load(&c"trial".into(), &[set, exit], options).err()?;
        let length = log.iter().position(|&byte| byte == 0).unwrap_or(0);
        let said = String::from_utf8_lossy(&log[..length]);
        Some(reason::of_trial(&self.kind, errno, &said))
    }

    /// Attaches a program that was loaded for this hook until what it returns is closed. Of an iterator:
    /// it can be run.
    pub fn attach(&self, program: BorrowedFd) -> Result<OwnedFd, Errno> {
        let program = program.as_raw_fd();
        match self.program {
            BPF_PROG_TYPE_KPROBE | BPF_PROG_TYPE_TRACEPOINT => {
                let event = match self.kind.as_str() {
                    "tp" => perf_event::tracepoint(&self.target.to_string_lossy())?,
                    kind => perf_event::probe(&self.target, kind == "kretprobe")?,
                };
                perf_event::run(&event, program).map(|()| event)
            }
            // SAFETY: the name ends with a zero.
            BPF_PROG_TYPE_RAW_TRACEPOINT => {
                owned(unsafe { bpf_raw_tracepoint_open(self.target.as_ptr(), program) })
            }
            // SAFETY: no pointers.
            _ => owned(unsafe { bpf_link_create(program, 0, self.attach, ptr::null()) }),
        }
    }

    /// Why attaching failed, in one line.
    pub fn not_attached(&self, errno: Errno) -> String {
        reason::of_attach(&self.kind, errno, &self.target.to_string_lossy())
    }
}

fn owned(fd: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: the kernel opened it just now for us.
    (fd >= 0)
        .then(|| unsafe { OwnedFd::from_raw_fd(fd) })
        .ok_or(-fd)
}
