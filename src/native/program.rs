// SPDX-License-Identifier: Apache-2.0

use libbpf_rs::btf::Btf;
use libbpf_rs::libbpf_sys::{BTF_KIND_FUNC, BTF_KIND_TYPEDEF};
use napi_derive::napi;

use crate::btf;

/// What became of one program of the object.
#[napi(object)]
#[derive(Clone)]
pub struct ProgramState {
    pub name: String,
    /// The ELF section: `tp_btf/kfree_skb`, `iter/tcp`.
    pub section: String,
    /// In the kernel, verified.
    pub loaded: bool,
    /// Running on its hook. Never so for an iterator, which runs when asked.
    pub attached: bool,
    /// Why it is not loaded or not attached, in one line.
    pub error: Option<String>,
}

impl ProgramState {
    pub fn is_iterator(&self) -> bool {
        matches!(self.kind(), "iter" | "iter.s")
    }

    /// The section's first word: `tp_btf`, `kprobe`.
    pub fn kind(&self) -> &str {
        split(&self.section).0
    }

    /// The event of tracefs that it runs at, if it does.
    pub fn trace_event(&self) -> Option<&str> {
        let (kind, target) = split(&self.section);
        (kind == "tp").then_some(target)
    }

    /// Why the kernel has nothing to attach this program to, as far as its own BTF tells. Targets
    /// in modules (`module:function`) are left to libbpf to find.
    pub fn missing_target(&self, kernel: Option<&Btf>) -> Option<String> {
        let (kind, target) = split(&self.section);
        let (btf_kind, prefix, what) = match kind {
            "tp_btf" => (BTF_KIND_TYPEDEF, "btf_trace_", "tracepoint"),
            "fentry" | "fentry.s" | "fexit" | "fexit.s" | "fmod_ret" | "fmod_ret.s" => {
                (BTF_KIND_FUNC, "", "function")
            }
            "iter" | "iter.s" => (BTF_KIND_FUNC, "bpf_iter_", "iterator"),
            "lsm" | "lsm.s" => (BTF_KIND_FUNC, "bpf_lsm_", "LSM hook"),
            _ => return None,
        };
        let Some(kernel) = kernel else {
            return Some(format!(
                "{kind} needs the kernel's own BTF (CONFIG_DEBUG_INFO_BTF), which this one lacks"
            ));
        };
        if target.contains(':') || btf::has(kernel, btf_kind, &format!("{prefix}{target}")) {
            return None;
        }
        Some(format!("this kernel has no {what} {target}"))
    }
}

fn split(section: &str) -> (&str, &str) {
    let section = section.trim_start_matches('?');
    section.split_once('/').unwrap_or((section, ""))
}
