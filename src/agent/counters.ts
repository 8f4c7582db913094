// SPDX-License-Identifier: Apache-2.0

/** What became of what was to be delivered, since the agent began. */
export class ExportCounters {
  /** Records that a collector took, that it said it did not want, and that it refused with their request. */
  delivered = 0;
  rejected = 0;
  refused = 0;
  /** Requests that are to be sent again. */
  failed_requests = 0;
  /** Recordings that were deleted before all that is in them was delivered, and that could not be read. */
  overtaken = 0;
  unreadable = 0;
  /** Requests with metrics that failed: what they told, the next one tells. */
  failed_metrics = 0;
}
