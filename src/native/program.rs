// SPDX-License-Identifier: Apache-2.0

use std::collections::HashSet;
use std::os::fd::OwnedFd;

use libbpf_rs::OpenObject;
use libbpf_rs::btf::Btf;
use napi_derive::napi;

use crate::btf;
use crate::hook::Hook;

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

pub struct Program {
    pub state: ProgramState,
    pub hook: Hook,
    /// In the kernel.
    pub fd: Option<OwnedFd>,
}

/// The object's programs, none of them loaded. Those that the kernel has nothing for have their error, as far
/// as its own BTF tells.
pub fn programs(object: &OpenObject, kernel: Option<&Btf>) -> Vec<Program> {
    let mut programs: Vec<Program> = object
        .progs()
        .map(|program| Program {
            state: ProgramState {
                name: program.name().to_string_lossy().into_owned(),
                section: program.section().to_string_lossy().into_owned(),
                loaded: false,
                attached: false,
                error: (!program.autoload()).then(|| "off unless asked for".to_string()),
            },
            hook: Hook::of(&program),
            fd: None,
        })
        .collect();
    let names: HashSet<_> = programs
        .iter()
        .filter_map(|program| program.hook.btf_name())
        .collect();
    let ids = kernel.map(|kernel| btf::ids(kernel, &names));
    for Program { state, hook, .. } in &mut programs {
        if let Some(name) = hook.btf_name() {
            let missing = hook.found(ids.as_ref().map(|ids| ids.get(&name).copied()));
            state.error = state.error.take().or(missing);
        }
    }
    programs
}

impl Program {
    pub fn is_wanted(&self) -> bool {
        self.state.error.is_none()
    }
}
