// SPDX-License-Identifier: Apache-2.0
//! The native half of tcpwhy: loads BPF programs, drains what they write, reads captures, opens sockets for
//! tests.
//! It knows no event's fields.

// napi leaves its glue, and so every caller, out of a test build.
#![cfg_attr(test, allow(dead_code))]

mod address;
mod answer;
mod attached;
mod btf;
mod capture;
mod capture_format;
mod capture_link;
mod capture_packet;
mod capture_reader;
mod capture_record;
mod capture_segment;
mod capture_tunnel;
mod clock;
mod confine;
mod cpus;
mod error;
mod framing;
mod hook;
mod ip_tables;
mod load;
mod lock;
mod log;
mod maps;
mod netlink;
mod netns;
mod object;
mod perf;
mod perf_event;
mod program;
mod programs;
mod reason;
mod refused;
mod service;
mod session;
mod sockets;
mod totals;
