// SPDX-License-Identifier: Apache-2.0

/** Any protobuf message as what it is made of: field numbers with their values, nested ones as bytes. */
export function fieldsOf(bytes: Uint8Array): [number, number | bigint | Uint8Array][] {
  const fields: [number, number | bigint | Uint8Array][] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = view.getUint8(at++);
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = Number(varint());
    const number = tag >>> 3;
    switch (tag & 7) {
      case 0:
        fields.push([number, varint()]);
        break;
      case 1:
        fields.push([number, view.getBigUint64(at, true)]);
        at += 8;
        break;
      case 2: {
        const length = Number(varint());
        fields.push([number, bytes.subarray(at, at + length)]);
        at += length;
        break;
      }
      case 5:
        fields.push([number, view.getUint32(at, true)]);
        at += 4;
        break;
      default:
        throw new Error(`wire type ${tag & 7}`);
    }
  }
  return fields;
}

/** All fields of that number. */
export function all(bytes: Uint8Array, number: number): Uint8Array[] {
  return fieldsOf(bytes)
    .filter(([one]) => one === number)
    .map(([, value]) => value as Uint8Array);
}

/** Log records of an ExportLogsServiceRequest. */
export function recordsIn(request: Uint8Array): Uint8Array[] {
  return all(request, 1)
    .flatMap((resource) => all(resource, 2))
    .flatMap((scope) => all(scope, 2));
}

/** Of a log record, by name: texts and whole numbers. */
export function attributesIn(record: Uint8Array, number = 6): Record<string, string | number> {
  return Object.fromEntries(
    all(record, number).map((pair) => {
      const [key] = all(pair, 1);
      const [value] = all(pair, 2);
      const [[kind, plain] = [0, 0]] = fieldsOf(value ?? new Uint8Array(0));
      const text = kind === 1 ? Buffer.from(plain as Uint8Array).toString() : Number(plain);
      return [Buffer.from(key ?? []).toString(), text];
    }),
  );
}
