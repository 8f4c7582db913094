/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How a packet that is dropped without a socket had come in: as arrival.bpf.c verified once. */
#ifndef TCPWHY_ARRIVAL_H
#define TCPWHY_ARRIVAL_H

#include "kernel.h"

/* Of the drop in the record buffer of `slot`, whose packet is filled in. */
u32 fill_arrival(u64 skb, u32 slot);

#endif
