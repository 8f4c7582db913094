// SPDX-License-Identifier: Apache-2.0

use std::collections::HashMap;
use std::ffi::CStr;

use libbpf_rs::btf::{Btf, types};
use libbpf_rs::{AsRawLibbpf, ObjectBuilder, OpenObject, libbpf_sys};

use crate::error::{Result, fail, fail_errno};
use crate::log;
use crate::reason;

/// A BPF object on disk and what is set in it before it loads.
pub struct Source {
    pub path: String,
    /// BTF to relocate against instead of the running kernel's.
    pub btf: Option<String>,
    /// Bytes of `const volatile` variables by name.
    pub rodata: HashMap<String, Vec<u8>>,
}

impl Source {
    /// Opens the object and sets its constants.
    /// ENOENT no such file, EINVAL not a BPF object, or a name or length that does not fit it.
    pub fn open(&self) -> Result<OpenObject> {
        if let Err(error) = std::fs::File::open(&self.path) {
            let errno = error.raw_os_error().unwrap_or(0);
            return Err(fail_errno(errno, &format!("BPF object {}", self.path)));
        }
        let mut builder = ObjectBuilder::default();
        if let Some(btf) = &self.btf {
            builder
                .btf_custom_path(btf)
                .map_err(|error| fail("EINVAL", error.to_string()))?;
        }
        let (object, log) = log::catch(|| builder.open_file(&self.path));
        let object = object.map_err(|_| {
            let (path, why) = (&self.path, reason::last_lines(&log));
            fail(
                "EINVAL",
                format!("{path} is not a BPF object that can be opened: {why}"),
            )
        })?;
        for (name, bytes) in &self.rodata {
            set_constant(&object, name, bytes)?;
        }
        Ok(object)
    }
}

fn set_constant(object: &OpenObject, name: &str, bytes: &[u8]) -> Result<()> {
    let object = object.as_libbpf_object();
    // SAFETY: the object is live and not yet loaded.
    let btf = Btf::from_bpf_object(unsafe { object.as_ref() })
        .ok()
        .flatten();
    let (section, offset, size) = btf
        .as_ref()
        .and_then(|btf| find_constant(btf, name))
        .ok_or_else(|| {
            fail(
                "EINVAL",
                format!("rodata: no constant {name} in the object"),
            )
        })?;
    if size != bytes.len() {
        let given = bytes.len();
        return Err(fail(
            "EINVAL",
            format!("rodata: {name} is {size} bytes, not {given}"),
        ));
    }
    let mut length = 0;
    // SAFETY: libbpf gives the section's image, `length` bytes, ours to change before loading.
    let image = unsafe {
        let map = libbpf_sys::bpf_object__find_map_by_name(object.as_ptr(), section.as_ptr());
        let image = libbpf_sys::bpf_map__initial_value(map, &mut length).cast::<u8>();
        if image.is_null() {
            return Err(fail(
                "EINVAL",
                format!("rodata: {name} has no image to be set in"),
            ));
        }
        std::slice::from_raw_parts_mut(image, length as usize)
    };
    image
        .get_mut(offset..offset + size)
        .ok_or_else(|| fail("EINVAL", format!("rodata: {name} lies outside its section")))?
        .copy_from_slice(bytes);
    Ok(())
}

/// The read-only section that holds a variable, its offset and its size there.
fn find_constant(btf: &Btf, name: &str) -> Option<(&'static CStr, usize, usize)> {
    let section = btf
        .type_by_kind::<types::DataSec>()
        .find(|section| section.name().is_some_and(|name| name == ".rodata"))?;
    let info = section.iter().find(|info| {
        btf.type_by_id::<types::Var>(info.ty)
            .is_some_and(|variable| variable.name().is_some_and(|found| found == name))
    })?;
    Some((c".rodata", info.offset as usize, info.size))
}
