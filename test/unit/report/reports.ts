// SPDX-License-Identifier: Apache-2.0

import { CAUSES } from '../../../src/causes/registry.gen.ts';
import { Draft, type Limits } from '../../../src/report/build.ts';
import { HostCollection } from '../../../src/report/collect.ts';
import type { Report } from '../../../src/report/model.ts';
import { SteadyClock } from '../../../src/report/steady.ts';
import { WatchReader } from '../../../src/report/watch.ts';
import type { Header } from '../../../src/wire/types.gen.ts';

export interface Recorded {
  name: string;
  header: Header;
  stream: Uint8Array;
}

/** A report of streams, each of a host of its own. */
export function reportOf(recorded: readonly Recorded[], limits?: Limits): Report {
  const hosts = recorded.map(({ name, header, stream }) => {
    const host = new HostCollection(({ cause }) => cause !== 'benign');
    const pipeline = host.open(name, header, CAUSES, null);
    pipeline.push(stream);
    host.finish(pipeline);
    return host;
  });
  const draft = new Draft(hosts, limits);
  for (const [at, { header, stream }] of recorded.entries()) {
    const onReport = (steady_ns: number) => draft.onReport(at, steady_ns);
    new WatchReader(draft.watched, header, at, new SteadyClock(), onReport, null).push(stream);
  }
  return draft.report({ version: '0.0.0', anonymized: false, causes: CAUSES });
}
