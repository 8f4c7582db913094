// SPDX-License-Identifier: Apache-2.0

/** The reader ended while somebody watched by it. */
export class ReaderGone extends Error {
  override name = 'ReaderGone';
}
