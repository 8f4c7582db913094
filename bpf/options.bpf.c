// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Which options a TCP header has. As a function of its own it is verified once, and not on each way to it. */
#include "emit.h"

#define TCPOPT_EOL 0
#define TCPOPT_NOP 1

/* More than any sender puts into 40 bytes but to fill them up. */
#define OPTIONS_READ 20

__noinline u32 find_options(u32 place)
{
	struct parse *p = record_buffer(place);

	if (!p)
		return 0;
	p = parse_area(p);
	p->at = 0;
	p->found[OPTION_TIMESTAMPS] = MAX_OPTIONS;
	p->found[OPTION_TOA] = MAX_OPTIONS;
	p->found[OPTION_TOA_28] = MAX_OPTIONS;
	p->found[OPTION_TOA_253] = MAX_OPTIONS;
	for (int i = 0; i < OPTIONS_READ; i++) {
		u32 at = *(volatile u32 *)&p->at;
		u8 kind, size;

		if (at >= MAX_OPTIONS || at >= p->len)
			break;
		kind = p->options[at];
		size = p->options[at + 1];
		if (kind == TCPOPT_EOL || (kind != TCPOPT_NOP && size < 2))
			break;
		p->found[option_of_kind[kind] & OPTION_MASK] = at;
		*(volatile u32 *)&p->at = at + (kind == TCPOPT_NOP ? 1 : size);
	}
	return 1;
}
