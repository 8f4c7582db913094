// SPDX-License-Identifier: Apache-2.0
//! Where a program runs, as its ELF section says: `tp_btf/kfree_skb`. Those of bpf/ are of tp_btf, fentry,
//! fexit, iter, raw_tp, tp, kprobe and kretprobe; others are not known here.

use std::ffi::CString;
use std::fs;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use libbpf_rs::libbpf_sys::{
    BPF_PROG_TYPE_KPROBE, BPF_PROG_TYPE_RAW_TRACEPOINT, BPF_PROG_TYPE_TRACEPOINT,
    BPF_PROG_TYPE_TRACING, BPF_TRACE_ITER, BPF_TRACE_RAW_TP, BTF_KIND_FUNC, BTF_KIND_TYPEDEF,
    PERF_FLAG_FD_CLOEXEC, bpf_attach_type, bpf_insn, bpf_link_create, bpf_prog_load,
    bpf_prog_load_opts, bpf_prog_type, bpf_program__expected_attach_type, bpf_program__type,
    bpf_raw_tracepoint_open, perf_event_attr,
};
use libbpf_rs::{AsRawLibbpf, OpenProgram};

use crate::error::last_errno;
use crate::{reason, trace_event};

/// Helpers of the kernel are for programs under the GPL, as those of bpf/ are.
const LICENSE: &std::ffi::CStr = c"Dual BSD/GPL";
const PERF_EVENT_IOC_ENABLE: libc::c_ulong = 0x2400;
const PERF_EVENT_IOC_SET_BPF: libc::c_ulong = 0x4004_2408;
const TRIAL_LOG_BYTES: usize = 4096;
/// `r0 = 0` and `exit`.
const MOVE: u8 = 0xb7;
const EXIT: u8 = 0x95;

/// An errno.
pub type Errno = i32;

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
            && let Err(error) = trace_event::id(&self.target.to_string_lossy())
        {
            return Some(self.not_attached(error.raw_os_error().unwrap_or(libc::EINVAL)));
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
            BPF_PROG_TYPE_KPROBE => set_to(self.open_probe()?, program),
            BPF_PROG_TYPE_TRACEPOINT => {
                let event = trace_event::open(&self.target.to_string_lossy())
                    .map_err(|error| error.raw_os_error().unwrap_or(libc::EINVAL))?;
                set_to(event, program)
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

    /// The event of every process on the first CPU; a program that is set to it runs on every CPU.
    fn open_probe(&self) -> Result<OwnedFd, Errno> {
        let number = |file: &str, before: &str| {
            let text = fs::read_to_string(format!("{}/{file}", reason::KPROBES)).ok()?;
            text.trim().strip_prefix(before)?.parse::<u32>().ok()
        };
        let type_ = number("type", "").ok_or(libc::ENOENT)?;
        let returns = number("format/retprobe", "config:").ok_or(libc::ENOENT)?;
        // SAFETY: of numbers alone; zero stands for what is not asked for.
        let mut event: perf_event_attr = unsafe { std::mem::zeroed() };
        event.size = size_of::<perf_event_attr>() as u32;
        event.type_ = type_;
        event.config = u64::from(self.kind == "kretprobe") << returns;
        event.__bindgen_anon_3.kprobe_func = self.target.as_ptr() as u64;
        // SAFETY: the kernel reads `size` bytes, and the name; every process, the first CPU.
        let event = unsafe {
            libc::syscall(
                libc::SYS_perf_event_open,
                &raw const event,
                -1,
                0,
                -1,
                PERF_FLAG_FD_CLOEXEC as libc::c_ulong,
            )
        };
        if event < 0 {
            return Err(last_errno());
        }
        // SAFETY: opened just now, and of nobody else.
        Ok(unsafe { OwnedFd::from_raw_fd(event as i32) })
    }
}

/// The program runs at the event until that is closed. A link (since Linux 5.15) would do no more.
fn set_to(event: OwnedFd, program: i32) -> Result<OwnedFd, Errno> {
    for (request, argument) in [
        (PERF_EVENT_IOC_SET_BPF, program),
        (PERF_EVENT_IOC_ENABLE, 0),
    ] {
        // SAFETY: no pointers.
        if unsafe { libc::ioctl(event.as_raw_fd(), request, argument) } < 0 {
            return Err(last_errno());
        }
    }
    Ok(event)
}

fn owned(fd: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: the kernel opened it just now for us.
    (fd >= 0)
        .then(|| unsafe { OwnedFd::from_raw_fd(fd) })
        .ok_or(-fd)
}
