// SPDX-License-Identifier: Apache-2.0

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { ExportCounters } from '../agent/counters.ts';
import { Delivery } from '../agent/delivery.ts';
import { endpointOf, metricsInterval_ms, SettingError } from '../agent/endpoint.ts';
import { Metrics } from '../agent/metrics.ts';
import { MetricsTeller } from '../agent/metrics-teller.ts';
import { metricsRequest } from '../agent/otlp-metrics.ts';
import { servePrometheus } from '../agent/prometheus.ts';
import { Resources } from '../agent/resource.ts';
import { Shipper } from '../agent/shipper.ts';
import { openLive, RECORDS_PER_S } from '../app/attach.ts';
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

/** Nobody looks on: longer than where somebody does, and where little comes, only every second time. */
const TICK_MS = 225;
const STATE = '/var/lib/tcpwhy';
/** A recording is one of so many, and no larger than that: after a restart one is read again. */
const FILES = 8;
const LARGEST_FILE_BYTES = 64 << 20;
/** At the end what is left is told, where a collector takes it within that time. */
const LAST_MS = 5000;

/** Watches until a signal, records, and tells what is found: its exit status. */
export async function agent(targets: string[], flags: Flags): Promise<number> {
  const filter = filterFrom(targets, flags);
  const { logs, metrics, metrics_ms } = endpoints();
  const recording = placeOf(flags);
  if (!lockFile(`${recording}.lock`))
    throw new UsageError(`another agent records ${recording}: give this one another --dir`);
  const rotation = rotationOf(flags);
  const interrupted = interruption();
  const source = openLive({
    filter,
    records_per_s: RECORDS_PER_S,
    tier: flags.tier ?? 'hooks',
    btf: flags.btf ?? undefined,
    host_name: flags.hostName,
    toa_kinds: flags.toaKind,
  });
  const stop = new AbortController();
  let flight: FlightRecorder | null = null;
  try {
    const resources = setting(() => new Resources(source.header.host, process.env));
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
    const server = flags.prometheus && (await served(flags.prometheus, read));
    say(
      `watching; recordings are ${recording}, findings go to ${logs ? logs.url.origin + logs.url.pathname : 'nobody'}`,
    );

    const telling = Promise.all([shipper?.run(stop.signal), teller?.run(metrics_ms, stop.signal)]);
    telling.catch(() => stop.abort());
    const ending = AbortSignal.any([interrupted, stop.signal]);
    let rests = false;
    const tick = () => {
      rests = !rests && recorded.tick();
      return false;
    };
    const why = await watch(tick, null, ending, TICK_MS);
    stop.abort();
    await telling;
    recorded.end(why);
    const last = AbortSignal.timeout(LAST_MS);
    await Promise.all([shipper?.finish(last), teller?.tell(last)]);
    server?.close();
    return 0;
  } finally {
    stop.abort();
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

/** Of the recordings, as `record -o` has it. Only who runs it may read them. */
function placeOf({ dir }: Flags): string {
  const folder = dir ?? (process.env.STATE_DIRECTORY?.split(':')[0] || STATE);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new UsageError(`cannot make ${folder}: ${(error as Error).message}`);
  }
  return join(folder, 'agent.tcpwhy.zst');
}

function rotationOf({ keep, maxAge }: Flags): Rotation {
  const max_bytes = Math.min(LARGEST_FILE_BYTES, Math.floor(keep / FILES));
  return { max_bytes, max_age_ms: maxAge, keep: Infinity, keep_bytes: keep - max_bytes };
}

async function served({ host, port }: { host: string; port: number }, read: Read) {
  try {
    return await servePrometheus(host, port, read);
  } catch (error) {
    throw new UsageError(`--prometheus: ${(error as Error).message}`);
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
