// SPDX-License-Identifier: Apache-2.0

/** What `endpoint` gives, as one word of a command: brackets are a pattern for a shell. */
export function word(endpoint: string): string {
  return endpoint.startsWith('[') ? `'${endpoint}'` : endpoint;
}

/** A network device for a command; null where it has no name or one that is more than a word for a shell. */
export function deviceName(device: string | null): string | null {
  return device !== null && /^\w[\w.-]*$/.test(device) ? device : null;
}

/** It as a part of a sysctl’s name, whose parts have dots between them. */
export function deviceKey(device: string): string {
  return device.replaceAll('.', '/');
}

/** A name that others chose, among the words of advice: it can begin or end no command. */
export function inWords(name: string): string {
  return name.replaceAll('`', "'");
}

/** `1.2 s`, `3 s`. */
export function seconds(ms: number): string {
  return `${Number((ms / 1000).toPrecision(ms < 10_000 ? 2 : 3))} s`;
}
