// SPDX-License-Identifier: Apache-2.0

import { chownSync, mkdirSync } from 'node:fs';
import type { Server } from 'node:http';
import { join } from 'node:path';
import { clockTrouble } from '../agent/clock.ts';
import { ExportCounters } from '../agent/counters.ts';
import { Delivery } from '../agent/delivery.ts';
import { endpointOf, metricsInterval_ms, SettingError } from '../agent/endpoint.ts';
import { hostId } from '../agent/host-id.ts';
import { Metrics } from '../agent/metrics.ts';
import { MetricsTeller } from '../agent/metrics-teller.ts';
import { metricsRequest } from '../agent/otlp-metrics.ts';
import { servePrometheus } from '../agent/prometheus.ts';
import { Resources } from '../agent/resource.ts';
import { Shipper } from '../agent/shipper.ts';
import { RECORDS_PER_S, toOpen } from '../app/attach.ts';
import { caller } from '../app/caller.ts';
import type { Values } from '../app/declare.ts';
import type { AGENT } from '../app/flags.ts';
import { FlightRecorder } from '../app/flight.ts';
import { filterFrom } from '../app/options.ts';
import { observableHere } from '../app/run.ts';
import { UsageError } from '../app/usage.ts';
import { interruption, watch } from '../app/watch.ts';
import { lockFile } from '../native/lock.ts';
import { prune, type Rotation } from '../record/parts.ts';
import { printable } from '../sinks/printable.ts';

type Flags = Values<typeof AGENT>;

/** Nobody looks on: longer than where somebody does. */
const TICK_MS = 225;
/** Where little comes. */
const LOOK_MS = 450;
/** Where little comes, there is no tick sooner after another, so every second look is one. */
const RESTS_MS = 800;
/** The same where the reader looks by itself: what is told of is not older than a second. */
const ASK_MS = 850;
const STATE = '/var/lib/tcpwhy';
/** A recording is one of so many, and no larger than that: after a restart one is read again. */
const FILES = 8;
const LARGEST_FILE_BYTES = 64 << 20;
/** At the end what is left is told, where a collector takes it within that time. */
const LAST_MS = 5000;

/** Watches until a signal, records, and tells what is found: its exit status. */
export async function agent(targets: string[], flags: Flags): Promise<number> {
  const filter = filterFrom(targets, flags);
  const interrupted = interruption();
  const folder = flags.dir ?? (process.env.STATE_DIRECTORY?.split(':')[0] || STATE);
  if (folder === STATE) giveState();
  // Files are read and made as who has them, and by who may do no more.
  const open = toOpen(flags.prometheus ? 'server' : 'teller');
  const { logs, metrics, metrics_ms } = endpoints();
  const recording = placeIn(folder);
  const rotation = rotationOf(flags);
  const source = open({
    filter,
    records_per_s: RECORDS_PER_S,
    tier: flags.tier ?? 'hooks',
    btf: flags.btf ?? undefined,
    host_name: flags.hostName,
    rests_ms: RESTS_MS,
    toa_kinds: flags.toaKind,
  });
  const stop = new AbortController();
  let flight: FlightRecorder | null = null;
  let server: Server | null = null;
  try {
    const trouble = clockTrouble(Date.now());
    if (trouble !== null) say(trouble);
    const host_id = hostId(`${recording}.host-id`, say);
    const resources = setting(() => new Resources(source.header.host, process.env, host_id));
    const counters = new ExportCounters();
    const counted = new Metrics();
    const observable = observableHere(source.header);
    let shipper: Shipper | null = null;
    prune(recording, rotation);
    const recorded = new FlightRecorder(source, recording, rotation, resources, {
      began: ({ pipeline }) => counted.watch(pipeline),
      ended: (number, findings) => shipper?.ended(number, findings),
    });
    flight = recorded;
    if (logs) {
      const cursor = `${recording}.cursor`;
      const interval_ms = flags.interval;
      const options = { recording, cursor, interval_ms, resources, counters, now_ns, say };
      shipper = new Shipper(options, new Delivery(logs, counters, say), recorded);
    }
    const read = () =>
      counted.read(
        recorded.findings.pipeline,
        observable,
        source.acceptQueues(filter.netns),
        counters,
        shipper?.behind ?? 0,
      );
    const start_ns = now_ns();
    const request = () => metricsRequest(read(), resources.host, start_ns, now_ns());
    const teller = metrics && new MetricsTeller(metrics, request, counters, say);
    server = flags.prometheus && (await served(flags.prometheus, read));
    say(
      `watching; recordings are ${recording}, findings go to ${logs ? logs.url.origin + logs.url.pathname : 'nobody'}`,
    );

    const telling = Promise.all([shipper?.run(stop.signal), teller?.run(metrics_ms, stop.signal)]);
    telling.catch(() => stop.abort());
    const ending = AbortSignal.any([interrupted, stop.signal]);
    const little_ms = source.looks ? ASK_MS : LOOK_MS;
    let next_ms = TICK_MS;
    const tick = () => {
      next_ms = recorded.tick() ? little_ms : TICK_MS;
      return false;
    };
    const why = await watch(tick, null, ending, () => next_ms);
    stop.abort();
    await telling;
    recorded.end(why);
    const last = AbortSignal.timeout(LAST_MS);
    await Promise.all([shipper?.finish(last), teller?.tell(last)]);
    return 0;
  } finally {
    stop.abort();
    server?.close();
    server?.closeAllConnections();
    source.close();
    flight?.close();
  }
}

function endpoints() {
  return setting(() => ({
    logs: endpointOf('logs', process.env),
    metrics: endpointOf('metrics', process.env),
    metrics_ms: metricsInterval_ms(process.env),
  }));
}

/** What the environment sets wrong is said as what the command line does. */
function setting<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw error instanceof SettingError ? new UsageError(error.message) : error;
  }
}

/** Only root may make it, and who called it by sudo is to write there. */
function giveState(): void {
  const by = caller();
  if (!by) return;
  try {
    mkdirSync(STATE, { mode: 0o700 });
    chownSync(STATE, by.uid, by.gid);
  } catch {
    // It is there, and somebody's, or cannot be made: whoever writes there is told.
  }
}

/** Of the recordings, as `record -o` has it; the folder is this agent's then. Only who runs it may read them. */
function placeIn(folder: string): string {
  const recording = join(folder, 'agent.tcpwhy.zst');
  let own: boolean;
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    own = lockFile(`${recording}.lock`);
  } catch (error) {
    throw new UsageError(
      `cannot write in ${folder}, as user ${process.geteuid?.()}: ${(error as Error).message}`,
    );
  }
  if (!own) throw new UsageError(`another agent records ${recording}: give this one another --dir`);
  return recording;
}

function rotationOf({ keep, maxAge }: Flags): Rotation {
  const max_bytes = Math.min(LARGEST_FILE_BYTES, Math.floor(keep / FILES));
  const keep_bytes = keep - max_bytes;
  return { max_bytes, max_age_ms: maxAge, keep: Infinity, keep_bytes, waits: true };
}

async function served({ host, port }: { host: string; port: number }, read: Read) {
  try {
    return await servePrometheus(host, port, read);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const hints: Record<string, string> = {
      EADDRINUSE: `: another program has it, or another agent: \`ss -ltnp 'sport = :${port}'\`. Give another port`,
      EADDRNOTAVAIL: ': this host does not have that address: `ip address`',
    };
    throw new UsageError(`--prometheus: ${message}${hints[code ?? ''] ?? ''}`);
  }
}

type Read = Parameters<typeof servePrometheus>[2];

function now_ns(): number {
  return Date.now() * 1e6;
}

/** A collector has a say in what is said: why it did not take something. */
function say(text: string): void {
  process.stderr.write(`tcpwhy: ${printable(text)}\n`);
}
