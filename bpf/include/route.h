/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where a packet's route leads: as route.bpf.c verified once. */
#ifndef TCPWHY_ROUTE_H
#define TCPWHY_ROUTE_H

#include "kernel.h"

/* The number of its device, and from bit 32 on the device's MTU; 0: it has none. */
u64 route_of(u64 skb);

#endif
