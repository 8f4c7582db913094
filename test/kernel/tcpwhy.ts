// SPDX-License-Identifier: Apache-2.0

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { EndText } from '../../src/diagnose/finding.ts';
import { misfit } from '../schema.ts';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const TCPWHY = process.env.TCPWHY_TESTED ?? `${ROOT}build/tcpwhy`;

const PATIENCE_MS = 30_000;
/** In a machine that is emulated the verifier takes its time. */
const START_PATIENCE_MS = 120_000;

export interface Finding {
  type: 'finding';
  id: string;
  cause: string;
  because: { cause: string; where: string } | null;
  severity: 'error' | 'warning' | 'info';
  basis: string;
  title: string;
  summary: string;
  subject: string;
  where: string;
  flow: {
    family: 4 | 6;
    saddr: string;
    sport: number;
    daddr: string;
    dport: number;
    netns: number;
  };
  process: { pid: number; comm: string; container: string | null } | null;
  ends?: EndText[];
  count: number;
  first: string;
  last: string;
  evidence: Record<string, unknown>;
  advice: string[];
  events: number[];
}

export interface Summary {
  type: 'summary';
  findings: Record<string, number>;
  unexplained: number;
  benign: number;
  lost: number;
  counted: Record<string, number>;
}

export interface Captured {
  type: 'capture';
  packets: number;
  segments: number;
}

type Line =
  | { type: 'start' }
  | { type: 'event'; netns: number }
  | { type: 'loss'; name: string; count: number }
  | Captured
  | Finding
  | Summary;

/** What a run printed. */
export class Output {
  readonly lines: string[] = [];
  readonly objects: Line[] = [];
  status: number | null = null;

  /** Lines that docs/json.schema.json does not allow, and why. */
  readonly misfits: string[] = [];

  add(line: string): void {
    const object = JSON.parse(line);
    this.lines.push(line);
    this.objects.push(object);
    const why = misfit(object);
    if (why !== '') this.misfits.push(`${why}\n${line}`);
  }

  /** Each finding as it was last told. */
  get findings(): Finding[] {
    const last = new Map<string, Finding>();
    for (const line of this.objects) {
      if (line.type === 'finding') last.set(`${line.id} ${line.first}`, line);
    }
    return [...last.values()].filter(({ count }) => count > 0);
  }

  get findingLines(): string[] {
    return this.lines.filter((_, index) => this.objects[index]?.type === 'finding');
  }

  get summary(): Summary {
    const last = this.objects.at(-1);
    if (last?.type !== 'summary') throw new Error(`no summary, but ${this.lines.at(-1)}`);
    return last;
  }

  count(cause: string): number {
    return this.findings
      .filter((one) => one.cause === cause)
      .reduce((sum, { count }) => sum + count, 0);
  }
}

/** `tcpwhy … --json`, running. */
export class Running {
  readonly output = new Output();
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  /** What waits for the next line. */
  readonly #waiting = new Set<() => void>();
  stderr = '';

  private constructor(args: string[], env: NodeJS.ProcessEnv, as: string[]) {
    const [command = '', ...rest] = [...as, TCPWHY, ...args];
    this.#child = spawn(command, rest, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    this.#exited = once(this.#child, 'close');
    const { stdout, stderr } = this.#child;
    if (!stdout || !stderr) throw new Error('no pipes');
    stderr.on('data', (text) => {
      this.stderr += text;
    });
    createInterface({ input: stdout }).on('line', (line) => {
      this.output.add(line);
      for (const hear of this.#waiting) hear();
      this.#waiting.clear();
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /**
   * Starts it, and comes back once it watches: the first line is printed after attaching. `as` is what runs it
   * as somebody else.
   */
  static async start(
    args: string[] = [],
    patience_ms = START_PATIENCE_MS,
    env: NodeJS.ProcessEnv = {},
    as: string[] = [],
  ): Promise<Running> {
    const [command = 'trace', ...rest] = args[0]?.startsWith('-') ? ['trace', ...args] : args;
    const isBounded = command !== 'trace' || rest.includes('--for');
    const running = new Running(
      [command, ...rest, '--json', ...(isBounded ? [] : ['--for', '10m'])],
      env,
      as,
    );
    if (!(await running.until(({ objects }) => objects[0]?.type === 'start', patience_ms))) {
      throw new Error(`tcpwhy did not start: ${running.stderr}`);
    }
    return running;
  }

  /** Waits until it printed that; false if it did not in time, or ended before. */
  async until(isSo: (output: Output) => boolean, patience_ms = PATIENCE_MS): Promise<boolean> {
    const late = AbortSignal.timeout(patience_ms);
    const ended = this.#exited.then(() => true);
    for (;;) {
      if (isSo(this.output)) return true;
      const line = new Promise<boolean>((resolve) => {
        this.#waiting.add(() => resolve(false));
        late.addEventListener('abort', () => resolve(true), { once: true });
      });
      if (await Promise.race([line, ended])) return isSo(this.output);
    }
  }

  /** Comes back once it has ended by itself, with everything that it printed. */
  async ended(): Promise<Output> {
    await this.#exited;
    this.output.status = this.#child.exitCode;
    return this.output;
  }

  /** As Ctrl-C does. Comes back with everything that it printed. */
  async stop(signal: NodeJS.Signals = 'SIGINT'): Promise<Output> {
    this.#child.kill(signal);
    await this.#exited;
    this.output.status = this.#child.exitCode;
    const [first] = this.output.misfits;
    if (first !== undefined) throw new Error(`not as docs/json.schema.json says: ${first}`);
    return this.output;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null)
      await this.stop('SIGKILL');
  }
}
