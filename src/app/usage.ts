// SPDX-License-Identifier: Apache-2.0

/** Wrong use, missing permission or a missing part of the environment: exit status 2. */
export class UsageError extends Error {
  override name = 'UsageError';
}
