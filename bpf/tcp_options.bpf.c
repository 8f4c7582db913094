// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* TCP options. A global function: the verifier goes through its loop once, not at every call. */
#include "segment.h"

#define TCPOPT_EOL 0
#define TCPOPT_NOP 1
#define TCPOPT_TIMESTAMP 8
#define TCPOLEN_TIMESTAMP 10

__attribute__((noinline)) int find_timestamps(const struct tcp_options *options, u32 len,
					      struct timestamps *found)
{
	u32 at = 0;

	if (!options || !found)
		return 0;
	for (int i = 0; i < MAX_OPTIONS - TCPOLEN_TIMESTAMP + 1; i++) {
		u8 kind, size;

		/* Through memory, `at` is any number to the verifier: every turn of the loop looks the same to it. */
		*(volatile u32 *)&found->tsval = at;
		at = *(volatile u32 *)&found->tsval;

		if (at > MAX_OPTIONS - TCPOLEN_TIMESTAMP || at + TCPOLEN_TIMESTAMP > len)
			return 0;
		kind = options->bytes[at];
		size = options->bytes[at + 1];
		if (kind == TCPOPT_TIMESTAMP && size == TCPOLEN_TIMESTAMP)
			goto out;
		if (kind == TCPOPT_NOP)
			at++;
		else if (kind == TCPOPT_EOL || size < 2)
			return 0;
		else
			at += size;
	}
	return 0;
out:
	__builtin_memcpy(&found->tsval, &options->bytes[at + 2], 4);
	__builtin_memcpy(&found->tsecr, &options->bytes[at + 6], 4);
	return 1;
}
