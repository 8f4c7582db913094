// SPDX-License-Identifier: Apache-2.0

/// An error whose status becomes the JavaScript error's `code`.
pub type Error = napi::Error<String>;
pub type Result<T> = std::result::Result<T, Error>;

/// Of a failed system call.
pub type Errno = i32;

pub fn fail(code: &str, reason: impl Into<String>) -> Error {
    Error::new(code.to_string(), reason.into())
}

/// The error of a failed system call: `what: description`, with the errno's name as its code.
pub fn fail_errno(errno: i32, what: &str) -> Error {
    fail(errno_name(errno), format!("{what}: {}", describe(errno)))
}

pub fn last_errno() -> Errno {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// The text of an errno, with its name where that is one we name.
pub fn describe(errno: i32) -> String {
    let text = std::io::Error::from_raw_os_error(errno).to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    match errno_name(errno) {
        "EUNKNOWN" => format!("{text} (errno {errno})"),
        name => format!("{text} ({name})"),
    }
}

pub fn errno_name(errno: i32) -> &'static str {
    match errno {
        libc::E2BIG => "E2BIG",
        libc::EACCES => "EACCES",
        libc::EAGAIN => "EAGAIN",
        libc::EBADF => "EBADF",
        libc::EBUSY => "EBUSY",
        libc::ECONNREFUSED => "ECONNREFUSED",
        libc::EEXIST => "EEXIST",
        libc::EFAULT => "EFAULT",
        libc::EINVAL => "EINVAL",
        libc::EMFILE => "EMFILE",
        libc::ENFILE => "ENFILE",
        libc::ENODEV => "ENODEV",
        libc::ENOENT => "ENOENT",
        libc::ENOMEM => "ENOMEM",
        libc::ENOSPC => "ENOSPC",
        libc::ENOSYS => "ENOSYS",
        libc::EOPNOTSUPP => "EOPNOTSUPP",
        libc::EPERM => "EPERM",
        libc::ESRCH => "ESRCH",
        _ => "EUNKNOWN",
    }
}
