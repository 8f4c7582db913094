// SPDX-License-Identifier: Apache-2.0

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';

/** docs/json.schema.json as it stands: what every line of `--json` has to fit. */
export const SCHEMA = JSON.parse(
  readFileSync(join(import.meta.dirname, '../docs/json.schema.json'), 'utf8'),
);

/** Gives what is wrong with a line, each error a line of text; empty where it fits. */
export function checker(schema: { $id: string }): (line: Record<string, unknown>) => string {
  const options = { strict: true, strictRequired: false, allowUnionTypes: true };
  // The pattern beside it says more than the format.
  const ajv = new Ajv2020({ ...options, validateFormats: false });
  const validate = ajv.compile(schema);
  return (line) => {
    if (validate(line) as boolean) return '';
    // Of the objects that it is not nothing is said.
    const own = ajv.getSchema(`${schema.$id}#/$defs/${line.type}`);
    if (!own) return `no object of type ${line.type}`;
    own(line);
    return (own.errors ?? [])
      .map(
        ({ instancePath, message, params }) =>
          `${line.type}${instancePath} ${message} ${JSON.stringify(params)}`,
      )
      .join('\n');
  };
}

export const misfit = checker(SCHEMA);
