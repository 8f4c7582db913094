// SPDX-License-Identifier: Apache-2.0
//! What the kernel's BTF says: numbers of enum members, and which functions and types exist.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::{CStr, CString};

use libbpf_rs::btf::{Btf, BtfType, types};
use libbpf_rs::libbpf_sys::{BTF_KIND_FUNC, BTF_KIND_TYPEDEF};
use libbpf_rs::{AsRawLibbpf, libbpf_sys};
use napi_derive::napi;

use crate::error::{Result, fail};
use crate::log;

type Members = BTreeMap<String, i64>;

/// The BTF at `path`, or the running kernel's own.
pub fn kernel(path: Option<&str>) -> Result<Btf<'static>> {
    let (btf, _) = log::catch(|| match path {
        Some(path) => Btf::from_path(path),
        None => Btf::from_vmlinux(),
    });
    btf.map_err(|_| match path {
        Some(path) => fail("ENOBTF", format!("{path} is not readable as kernel BTF")),
        None => fail("ENOBTF", "/sys/kernel/btf/vmlinux is missing"),
    })
}

fn has(btf: &Btf, kind: u32, name: &str) -> bool {
    let Ok(name) = CString::new(name) else {
        return false;
    };
    // SAFETY: both pointers outlive the call.
    unsafe {
        libbpf_sys::btf__find_by_name_kind(btf.as_libbpf_object().as_ptr(), name.as_ptr(), kind) > 0
    }
}

/// The numbers of those that the BTF has of these kinds and names: going through it takes as long for all of
/// them as for one.
pub fn ids(btf: &Btf, wanted: &HashSet<(u32, String)>) -> HashMap<(u32, String), u32> {
    let mut names: HashMap<&[u8], Vec<&(u32, String)>> = HashMap::new();
    for one in wanted {
        names.entry(one.1.as_bytes()).or_default().push(one);
    }
    let mut found = HashMap::new();
    let btf = btf.as_libbpf_object().as_ptr();
    // SAFETY: libbpf has a type of each number below the count, with a name that ends with a zero.
    unsafe {
        for id in 1..libbpf_sys::btf__type_cnt(btf) {
            let of = &*libbpf_sys::btf__type_by_id(btf, id);
            let kind = of.info >> 24 & 0x1f;
            if !matches!(kind, BTF_KIND_FUNC | BTF_KIND_TYPEDEF) {
                continue;
            }
            let name = CStr::from_ptr(libbpf_sys::btf__name_by_offset(btf, of.name_off));
            for one in names.get(name.to_bytes()).into_iter().flatten() {
                if one.0 == kind {
                    found.entry((*one).clone()).or_insert(id);
                }
            }
        }
    }
    found
}

/// Members and numbers of kernel enums: those called one of `names`, and, of the anonymous ones,
/// those with a member of `anonymous_with`. Keyed by the name or member asked for; what this
/// kernel does not have is left out.
#[napi(catch_unwind)]
pub fn kernel_enums(
    names: Vec<String>,
    anonymous_with: Vec<String>,
    btf: Option<String>,
) -> Result<BTreeMap<String, Members>> {
    let names: HashSet<String> = names.into_iter().collect();
    let btf = kernel(btf.as_deref())?;
    let mut found = BTreeMap::new();
    for any in btf.type_by_kind::<BtfType>().filter(BtfType::is_any_enum) {
        match any.name().map(|name| name.to_string_lossy().into_owned()) {
            Some(name) => {
                if names.contains(&name) {
                    found.entry(name).or_insert_with(|| members(any));
                }
            }
            None => {
                let members = members(any);
                let asked = anonymous_with.iter().find(|key| members.contains_key(*key));
                if let Some(key) = asked {
                    found.entry(key.clone()).or_insert(members);
                }
            }
        }
    }
    Ok(found)
}

fn members(any: BtfType) -> Members {
    if let Ok(narrow) = types::Enum::try_from(any) {
        return narrow
            .iter()
            .filter_map(|member| Some((member.name?.to_str()?.to_string(), member.value)))
            .collect();
    }
    let Ok(wide) = types::Enum64::try_from(any) else {
        return Members::new();
    };
    wide.iter()
        .filter_map(|member| {
            let name = member.name?.to_str()?.to_string();
            Some((name, i64::try_from(member.value).unwrap_or(i64::MAX)))
        })
        .collect()
}

#[napi(object)]
pub struct BtfName {
    #[napi(ts_type = "'func' | 'typedef' | 'struct'")]
    pub kind: String,
    pub name: String,
}

/// How many parameters the kernel's BTF gives each: a function by its name, a tracepoint as
/// `tracepoint:NAME` without the context that BPF does not see. Absent names are left out.
#[napi(catch_unwind)]
pub fn parameter_counts(names: Vec<String>, btf: Option<String>) -> Result<BTreeMap<String, u32>> {
    let btf = kernel(btf.as_deref())?;
    let count = |name: &str| match name.strip_prefix("tracepoint:") {
        Some(tracepoint) => {
            let typedef = btf.type_by_name::<types::Typedef>(&format!("btf_trace_{tracepoint}"))?;
            let pointer: types::Ptr = typedef.next_type()?.try_into().ok()?;
            prototype(pointer.next_type()?).map(|parameters| parameters.saturating_sub(1))
        }
        None => prototype(btf.type_by_name::<types::Func>(name)?.next_type()?),
    };
    Ok(names
        .into_iter()
        .filter_map(|name| count(&name).map(|parameters| (name, parameters)))
        .collect())
}

fn prototype(of: BtfType) -> Option<u32> {
    let prototype: types::FuncProto = of.try_into().ok()?;
    Some(prototype.iter().count() as u32)
}

/// For each name, whether the kernel's BTF has it.
#[napi(catch_unwind)]
pub fn has_btf(names: Vec<BtfName>, btf: Option<String>) -> Result<Vec<bool>> {
    let btf = kernel(btf.as_deref())?;
    names
        .iter()
        .map(|wanted| {
            let kind = match wanted.kind.as_str() {
                "func" => libbpf_sys::BTF_KIND_FUNC,
                "typedef" => libbpf_sys::BTF_KIND_TYPEDEF,
                "struct" => libbpf_sys::BTF_KIND_STRUCT,
                other => return Err(fail("EINVAL", format!("no such kind of BTF name: {other}"))),
            };
            Ok(has(&btf, kind, &wanted.name))
        })
        .collect()
}
