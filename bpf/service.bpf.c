// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Which end of a connection is the service, by its ports. */
#include "service.h"

static __always_inline bool is_within(u32 range, u32 port)
{
	return port >= (range & 0xffff) && port <= range >> 16;
}

__noinline u32 near_end_serves(u32 netns, u32 near, u32 far, u32 range, u32 side)
{
	bool near_is, far_is;

	if (side != SIDE_NOT_KNOWN)
		return side == SIDE_NEAR;
	if (was_served(netns, near))
		return true;
	if (was_served(netns, far))
		return false;
	near_is = was_dialled(netns, near);
	far_is = was_dialled(netns, far);
	if (near_is != far_is)
		return near_is;
	near_is = !is_within(range, near);
	far_is = !is_within(range, far);
	if (near_is != far_is)
		return near_is;
	near_is = was_served_anywhere(near);
	far_is = was_served_anywhere(far);
	if (near_is != far_is)
		return near_is;
	return near < far;
}
