// SPDX-License-Identifier: GPL-2.0-only
/* The same under other names: what is loaded in its place has the same addresses. */
#define inet_getname_toa inet_getname_toa_other
#define inet6_getname_toa inet6_getname_toa_other
#include "toa.c"
