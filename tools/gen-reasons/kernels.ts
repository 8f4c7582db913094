// SPDX-License-Identifier: Apache-2.0

/** The kernel's enums of reasons, and what their members' names begin with. */
export const ENUMS = {
  skb_drop_reason: 'SKB_DROP_REASON_',
  sk_rst_reason: 'SK_RST_REASON_',
} as const;

/** Members of each enum in their order, without their prefix, by kernel. */
export type Kernels = Record<string, Partial<Record<keyof typeof ENUMS, string[]>>>;
