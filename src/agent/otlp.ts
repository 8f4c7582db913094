// SPDX-License-Identifier: Apache-2.0

import type {
  ProtobufLogsSerializer,
  ProtobufMetricsSerializer,
} from '@opentelemetry/otlp-transformer';

/** What the serializers of OpenTelemetry take. */
export type LogRecord = Parameters<typeof ProtobufLogsSerializer.serializeRequest>[0][number];
export type ResourceMetrics = Parameters<typeof ProtobufMetricsSerializer.serializeRequest>[0];
export type Resource = LogRecord['resource'];
