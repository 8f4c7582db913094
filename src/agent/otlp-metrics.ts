// SPDX-License-Identifier: Apache-2.0

import { ProtobufMetricsSerializer } from '@opentelemetry/otlp-transformer';
import { hrTime, SCOPE } from './log-record.ts';
import type { Metric } from './metrics.ts';
import type { Resource, ResourceMetrics } from './otlp.ts';

/** Values of the enums of @opentelemetry/sdk-metrics, which would be loaded for them. */
const GAUGE = 2;
const SUM = 3;
const CUMULATIVE = 1;
const [INT, DOUBLE] = [0, 1];

/** An ExportMetricsServiceRequest. */
export function metricsRequest(
  metrics: readonly Metric[],
  resource: Resource,
  start_ns: number,
  now_ns: number,
): Uint8Array {
  const [startTime, endTime] = [hrTime(start_ns), hrTime(now_ns)];
  const told = metrics.filter(({ points }) => points.length > 0);
  const data = told.map(({ name, kind, unit, description, points }) => ({
    descriptor: {
      name,
      unit,
      description,
      valueType: points.every(({ value }) => Number.isInteger(value)) ? INT : DOUBLE,
    },
    dataPointType: kind === 'sum' ? SUM : GAUGE,
    aggregationTemporality: CUMULATIVE,
    ...(kind === 'sum' && { isMonotonic: true }),
    dataPoints: points.map((point) => ({ ...point, startTime, endTime })),
  }));
  const request = { resource, scopeMetrics: [{ scope: SCOPE, metrics: data }] };
  return (
    ProtobufMetricsSerializer.serializeRequest(request as unknown as ResourceMetrics) ??
    new Uint8Array(0)
  );
}
