// SPDX-License-Identifier: Apache-2.0

/**
 * Node's own. An import of it would evaluate all that it exports, WebSocket among it, which loads the client of fetch:
 * 8 MiB, and a quarter of a second at the start.
 */
export const http = process.getBuiltinModule('node:http');
