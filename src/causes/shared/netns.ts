// SPDX-License-Identifier: Apache-2.0

/** The command, run in the network namespace with this inode number. */
export function inNetns(netns: number, command: string): string {
  return `nsenter -n -t $(lsns -nt net -o NS,PID | awk '$1==${netns}{print $2}') ${command}`;
}
