// SPDX-License-Identifier: Apache-2.0

import { execFileSync } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';

const POLL_MS = 50;

/** A program in a real pseudo-terminal of its own, as tmux gives it one. */
export class Terminal {
  static #made = 0;
  #server = 0;
  readonly #socket = `tcpwhy-test-${process.pid}-${Terminal.#made++}`;

  /** Starts `command`, a shell's; when it ends, its exit status stays on the screen as `status=N`. */
  constructor(command: string, columns: number, rows: number) {
    const size = ['-x', String(columns), '-y', String(rows)];
    this.#tmux('-f', '/dev/null', 'new-session', '-d', ...size, 'env TERM=screen-256color sh');
    this.keys(`clear; ${command}; echo status=$?`, 'Enter');
  }

  keys(...keys: string[]): void {
    this.#tmux('send-keys', '-t', '0', ...keys);
  }

  /** What the screen shows, one string a row. */
  rows(): string[] {
    return this.#tmux('capture-pane', '-p', '-t', '0').replace(/\n$/, '').split('\n');
  }

  /** The same, with the sequences that give characters their look. */
  painted(): string[] {
    return this.#tmux('capture-pane', '-e', '-N', '-p', '-t', '0').replace(/\n$/, '').split('\n');
  }

  resize(columns: number, rows: number): void {
    this.#tmux('resize-window', '-t', '0', '-x', String(columns), '-y', String(rows));
  }

  /** The process that runs in the foreground. */
  foreground(): number {
    const shell = this.#tmux('display-message', '-p', '-t', '0', '#{pane_pid}').trim();
    const children = execFileSync('pgrep', ['-P', shell], { encoding: 'utf8' });
    return Number(children.split('\n')[0]);
  }

  /** It takes nothing that is written to it. */
  freeze(): void {
    this.#server = Number(this.#tmux('display-message', '-p', '#{pid}').trim());
    process.kill(this.#server, 'SIGSTOP');
  }

  thaw(): void {
    process.kill(this.#server, 'SIGCONT');
  }

  /** tmux's own flags: whether the alternate screen is on, the cursor shown. */
  modes(): { alternate: boolean; cursor: boolean } {
    const flags = this.#tmux('display-message', '-p', '-t', '0', '#{alternate_on} #{cursor_flag}');
    const [alternate, cursor] = flags.trim().split(' ');
    return { alternate: alternate === '1', cursor: cursor === '1' };
  }

  /**
   * Waits until the screen matches and stands still: a terminal can be read in the middle of a
   * repaint. Throws with the screen as it was.
   */
  async shows(pattern: RegExp, limit_ms = 20_000): Promise<string> {
    let before: string | undefined;
    for (const end = performance.now() + limit_ms; ; ) {
      const screen = this.rows().join('\n');
      if (pattern.test(screen) && screen === before) return screen;
      before = screen;
      if (performance.now() > end) throw new Error(`no ${pattern} on the screen:\n${screen}`);
      await pause(POLL_MS);
    }
  }

  close(): void {
    try {
      this.#tmux('kill-server');
    } catch {
      // It ended with its program.
    }
  }

  #tmux(...args: string[]): string {
    return execFileSync('tmux', ['-L', this.#socket, ...args], { encoding: 'utf8', stdio: 'pipe' });
  }
}
