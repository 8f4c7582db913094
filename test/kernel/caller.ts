// SPDX-License-Identifier: Apache-2.0

/** Nobody that this host knows. */
export const CALLER = 54_321;
/** As sudo tells who called it. */
export const BY_SUDO = { SUDO_UID: String(CALLER), SUDO_GID: String(CALLER) };
