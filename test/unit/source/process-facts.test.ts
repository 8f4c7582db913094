// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { ProcessFacts } from '../../../src/source/process-facts.ts';
import { decodeEvent } from '../../../src/wire/decode.ts';
import { FrameReader } from '../../../src/wire/frames.ts';
import { AT, BODY, WRITTEN } from '../../../src/wire/written.gen.ts';
import { layoutNumbered } from '../../../src/wire/written.ts';

const [SYN_RECEIVED, RESET_SENT, DROP] = [16, 17, 19];
const [ESTABLISHED, TIME_WAIT, LISTEN] = [1, 6, 10];

type Numbered = 16 | 17 | 19;

/** A record whose fields, by their place in the body, have these values. */
function record(kind: Numbered, at_s: number, fields: [number, number][]): Int32Array {
  const w = new Int32Array(WRITTEN[kind].words);
  new DataView(w.buffer).setBigUint64(4 * AT.Event.ktime_ns, BigInt(at_s * 1e9), true);
  for (const [place, value] of fields) w[BODY + place] = value;
  return w;
}

const owner = (sock: number) => sock + AT.Sock.owner + AT.Owner.pid;

const refused = (at_s: number) =>
  record(SYN_RECEIVED as Numbered, at_s, [
    [AT.SynReceived.listener + AT.Sock.state, LISTEN],
    [owner(AT.SynReceived.listener), 7],
  ]);

function finder(holders: number[] = []) {
  const asked: number[] = [];
  const state = {
    halted: 'stopped',
    tracer: '',
    open_files: 1,
    open_files_max: 9,
    gone: 0,
    waits_in: '',
  };
  const facts = new ProcessFacts(
    (pid) => {
      asked.push(pid);
      return { pid, ...state };
    },
    () => holders.map((pid) => ({ pid, comm: 'worker' })),
    () => 0,
  );
  const of = (w: Int32Array, kind: number) => {
    const layout = layoutNumbered(kind);
    if (!layout) throw new Error('no such record');
    const frames = new FrameReader().push(Buffer.concat(facts.of(w, 0, layout)));
    return [...frames].map(({ bytes }) => decodeEvent(bytes)?.body);
  };
  return { of, asked, state, facts };
}

test('whose listener refuses is asked for, once a second, and told where it changed', () => {
  const { of, asked, state, facts } = finder();
  expect(of(refused(1), SYN_RECEIVED)).toMatchObject([{ process: { pid: 7, halted: 'stopped' } }]);
  expect(of(refused(1.5), SYN_RECEIVED)).toEqual([]);
  expect(of(refused(3), SYN_RECEIVED)).toEqual([]);
  state.halted = '';
  expect(of(refused(5), SYN_RECEIVED)).toMatchObject([{ process: { halted: '' } }]);
  expect(asked).toEqual([7, 7, 7]);
  facts.forget();
  expect(of(refused(5.5), SYN_RECEIVED)).toHaveLength(1);
});

test('who has the listener open is asked for, not who made it', () => {
  const { of, asked } = finder([8, 9]);
  of(refused(1), SYN_RECEIVED);
  expect(asked).toEqual([8, 9]);
});

test('who does not read is asked for after a while', () => {
  const { of, asked } = finder();
  const shut = (since_ms: number) =>
    record(DROP as Numbered, 1, [
      [AT.Drop.sock + AT.Sock.state, ESTABLISHED],
      [owner(AT.Drop.sock), 7],
      [AT.Drop.since_data_ms, since_ms],
    ]);
  of(shut(300), DROP);
  expect(asked).toEqual([]);
  of(shut(3000), DROP);
  expect(asked).toEqual([7]);
});

test('who had closed what is sent to again is asked for', () => {
  const { of, asked } = finder();
  of(
    record(RESET_SENT as Numbered, 1, [
      [AT.ResetSent.packet + AT.Packet.flags, 0x18],
      [AT.ResetSent.sock + AT.Sock.state, TIME_WAIT],
      [AT.ResetSent.closed + AT.Closed.owner + AT.Owner.pid, 7],
    ]),
    RESET_SENT,
  );
  expect(asked).toEqual([7]);
});
