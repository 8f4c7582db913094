// SPDX-License-Identifier: Apache-2.0

/** Causes that packets alone can prove, or their shape tells: docs/explain.md. */
export const EXPLAINED: ReadonlySet<string> = new Set([
  'connect-refused',
  'crossed-reply',
  'data-after-close',
  'data-unanswered',
  'icmp-unreachable',
  'paws-passive',
  'peer-collision',
  'peer-rewritten',
  'peer-window-shut',
  'proxy-upstream-failed',
  'refused-from-elsewhere',
  'request-reset',
  'reset-by-peer',
  'reset-rejected',
  'self-connect',
  'syn-on-live-connection',
  'syn-unanswered',
  'synack-wrong-source',
]);
