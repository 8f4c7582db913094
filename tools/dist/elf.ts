// SPDX-License-Identifier: Apache-2.0

const PHDR_BYTES = 56;
const DYN_BYTES = 16;
const RELA_BYTES = 24;

const PT = { LOAD: 1, DYNAMIC: 2, INTERP: 3, NOTE: 4, PHDR: 6 };
const PF_X = 1;
const PF_R = 4;
const DT = {
  ...{ NULL: 0, NEEDED: 1, PLTRELSZ: 2, STRTAB: 5, SYMTAB: 6, JMPREL: 23, FLAGS: 30 },
  ...{ VERNEED: 0x6ffffffe, VERNEEDNUM: 0x6fffffff },
};
const DF_BIND_NOW = 8;
/** Of each machine, by its number in ELF: the largest page, and the relocation that only adds. */
const MACHINES: { [machine: number]: { page: number; relative: bigint } } = {
  62: { page: 0x1000, relative: 8n },
  183: { page: 0x10000, relative: 1027n },
};
const SYM_BYTES = 24;

/** Where start.c lies, and what it is given: far behind Node, which has fixed addresses. */
export const START_AT = 0x30000000;
export const GIVEN_AT = 0x40000000;
/** start.c's first 16 bytes are where the kernel begins, the next its __atomic_compare_exchange. */
const COMPARE_EXCHANGE_AT = START_AT + 16;

const FUSE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2:';
const NOTE_NAME = 'NODE_SEA_BLOB\0';

export interface Parts {
  /** The executable, for fixed addresses. */
  node: Uint8Array;
  /** start.c, as it lies in memory. */
  start: Uint8Array;
  /** What Node runs: the half that is root, the other one, and where nobody watches. */
  blobs: { reader: Uint8Array; watching: Uint8Array; other: Uint8Array };
  /** What others read by a path. */
  files: { name: string; bytes: Uint8Array }[];
}

interface Phdr {
  type: number;
  flags: number;
  offset: number;
  vaddr: number;
  filesz: number;
  memsz: number;
  align: number;
}

/**
 * Node with all of that in it, as one executable. The kernel maps what Node itself wants, and start.c and the
 * rest behind it; it is shown no dynamic linker, so it begins with start.c.
 */
export function oneFile({ node, start, blobs: named, files }: Parts): Uint8Array {
  const blobs = [named.reader, named.watching, named.other];
  const image = Buffer.from(node);
  const { page, relative } = machineOf(image);
  const entry = Number(image.readBigUInt64LE(24));
  const phdrs = readPhdrs(image);
  setFuse(image);
  withoutLibatomic(image, phdrs, relative);

  const startOffset = aligned(image.length, page);
  const givenOffset = aligned(startOffset + start.length, page);
  const load = (vaddr: number, offset: number, size: number, flags: number): Phdr => ({
    ...{ type: PT.LOAD, flags, offset, vaddr, filesz: size, memsz: size, align: page },
  });

  // The table is as long whatever stands in it: first for its size, then with what follows from that.
  const given = new Pieces(GIVEN_AT, givenOffset);
  const record = given.room(8 * (blobs.length + 4 + 3 * files.length));
  const tableBytes = PHDR_BYTES * (phdrs.length + 3);
  const seen = blobs.map(() => given.room(tableBytes));
  const shown = given.room(tableBytes);
  const interp = phdrs.find(({ type }) => type === PT.INTERP);
  if (!interp) throw new Error('Node names no dynamic linker');
  const notes = blobs.map((blob) => given.put(noteOf(blob), 16));
  const placed = files.map(({ name, bytes }) => ({
    name: given.put(Buffer.from(`${name}\0`)),
    bytes: given.put(bytes, page),
    size: bytes.length,
  }));

  const tables = seen.map((place, which): Phdr[] => {
    const { vaddr = 0, offset = 0, size = 0 } = notes[which] ?? {};
    return [
      ...phdrs.map((phdr) =>
        phdr.type === PT.PHDR ? { ...phdr, ...place, filesz: tableBytes, memsz: tableBytes } : phdr,
      ),
      load(START_AT, startOffset, start.length, PF_R | PF_X),
      load(GIVEN_AT, givenOffset, given.size, PF_R),
      { type: PT.NOTE, flags: PF_R, offset, vaddr, filesz: size, memsz: size, align: 4 },
    ];
  });
  for (const [which, table] of tables.entries()) writePhdrs(given.bytesAt(seen[which]), table);
  const [first = []] = tables;
  // The kernel’s names no dynamic linker: type 0 is nothing.
  writePhdrs(
    given.bytesAt(shown),
    first.map((phdr) => (phdr.type === PT.INTERP ? { ...phdr, type: 0 } : phdr)),
  );
  const words = [
    ...seen.map(({ vaddr }) => vaddr),
    ...[first.length, entry, interp.vaddr, files.length],
    ...placed.flatMap(({ name, bytes, size }) => [name.vaddr, bytes.vaddr, size]),
  ];
  for (const [index, word] of words.entries())
    given.bytesAt(record).writeBigUInt64LE(BigInt(word), 8 * index);

  const out = Buffer.alloc(givenOffset + given.size);
  image.copy(out);
  Buffer.from(start).copy(out, startOffset);
  given.copy(out);
  out.writeBigUInt64LE(BigInt(START_AT), 24);
  out.writeBigUInt64LE(BigInt(shown.offset), 32);
  out.writeUInt16LE(first.length, 56);
  return out;
}

/** Bytes one behind the other, which know where they will lie in the file and in memory. */
class Pieces {
  readonly #vaddr: number;
  readonly #offset: number;
  readonly #pieces: { at: number; bytes: Buffer }[] = [];
  size = 0;

  constructor(vaddr: number, offset: number) {
    this.#vaddr = vaddr;
    this.#offset = offset;
  }

  put(bytes: Uint8Array, align = 8) {
    const at = aligned(this.size, align);
    this.#pieces.push({ at, bytes: Buffer.from(bytes) });
    this.size = at + bytes.length;
    return { vaddr: this.#vaddr + at, offset: this.#offset + at, size: bytes.length };
  }

  room(size: number) {
    return this.put(Buffer.alloc(size));
  }

  bytesAt(place: { offset: number } | undefined): Buffer {
    const piece = this.#pieces.find(({ at }) => this.#offset + at === place?.offset);
    if (!piece) throw new Error('nothing lies there');
    return piece.bytes;
  }

  copy(out: Buffer): void {
    for (const { at, bytes } of this.#pieces) bytes.copy(out, this.#offset + at);
  }
}

function machineOf(image: Buffer) {
  const EXEC = 2;
  const machine = image.readUInt32BE(0) === 0x7f454c46 && MACHINES[image.readUInt16LE(18)];
  if (!machine) throw new Error('Node is no ELF executable for x86-64 or arm64');
  if (image.readUInt16LE(16) !== EXEC) throw new Error('Node has no fixed addresses');
  return machine;
}

function readPhdrs(image: Buffer): Phdr[] {
  const offset = Number(image.readBigUInt64LE(32));
  return Array.from({ length: image.readUInt16LE(56) }, (_, index) => {
    const at = offset + PHDR_BYTES * index;
    const word = (by: number) => Number(image.readBigUInt64LE(at + by));
    return {
      ...{ type: image.readUInt32LE(at), flags: image.readUInt32LE(at + 4) },
      ...{ offset: word(8), vaddr: word(16), filesz: word(32), memsz: word(40), align: word(48) },
    };
  });
}

function writePhdrs(into: Buffer, phdrs: Phdr[]): void {
  for (const [index, phdr] of phdrs.entries()) {
    const at = PHDR_BYTES * index;
    into.writeUInt32LE(phdr.type, at);
    into.writeUInt32LE(phdr.flags, at + 4);
    const { offset, vaddr, filesz, memsz, align } = phdr;
    for (const [word, value] of [offset, vaddr, vaddr, filesz, memsz, align].entries())
      into.writeBigUInt64LE(BigInt(value), at + 8 + 8 * word);
  }
}

/** Says that there is something to run in it. */
function setFuse(image: Buffer): void {
  const at = image.indexOf(`${FUSE}0`);
  if (at < 0 || image.indexOf(`${FUSE}0`, at + 1) >= 0)
    throw new Error('Node is not one that can be a single executable');
  image.write('1', at + FUSE.length);
}

/** How Node looks for it: an ELF note. */
function noteOf(blob: Uint8Array): Buffer {
  const head = Buffer.alloc(12 + aligned(NOTE_NAME.length, 4));
  head.writeUInt32LE(NOTE_NAME.length, 0);
  head.writeUInt32LE(blob.length, 4);
  head.writeUInt32LE(0, 8);
  head.write(NOTE_NAME, 12);
  return Buffer.concat([head, blob, Buffer.alloc(aligned(blob.length, 4) - blob.length)]);
}

/**
 * Node calls one function of libatomic, which many systems do not have: start.c has it instead, and the
 * library is not asked for.
 */
function withoutLibatomic(image: Buffer, phdrs: Phdr[], relative: bigint): void {
  const LIBRARY = 'libatomic.so.1';
  const FUNCTION = '__atomic_compare_exchange';
  const dynamic = phdrs.find(({ type }) => type === PT.DYNAMIC);
  if (!dynamic) throw new Error('Node has no dynamic section');
  const tag = (at: number) => Number(image.readBigInt64LE(at));
  const value = (at: number) => Number(image.readBigUInt64LE(at + 8));
  const entries = Array.from(
    { length: dynamic.filesz / DYN_BYTES },
    (_, index) => dynamic.offset + DYN_BYTES * index,
  );
  const entry = (wanted: number) => {
    const found = entries.find((at) => tag(at) === wanted);
    if (found === undefined) throw new Error(`Node’s dynamic section lacks ${wanted}`);
    return found;
  };
  const offsetOf = (vaddr: number) => {
    const { offset = 0, vaddr: from = 0 } =
      phdrs.find((p) => p.type === PT.LOAD && vaddr >= p.vaddr && vaddr < p.vaddr + p.filesz) ?? {};
    return offset + vaddr - from;
  };
  const strings = offsetOf(value(entry(DT.STRTAB)));
  const text = (at: number) => {
    const from = strings + at;
    return image.toString('latin1', from, image.indexOf(0, from));
  };

  const needed = entries.find((at) => tag(at) === DT.NEEDED && text(value(at)) === LIBRARY);
  if (needed === undefined) return;
  if (!(value(entry(DT.FLAGS)) & DF_BIND_NOW)) throw new Error('Node binds its functions late');

  // Its version is not asked for.
  let before: number | null = null;
  let library = '';
  for (let at = offsetOf(value(entry(DT.VERNEED))); ; ) {
    const next = image.readUInt32LE(at + 12);
    library = text(image.readUInt32LE(at + 4));
    if (library === LIBRARY) {
      if (before === null)
        image.writeBigUInt64LE(BigInt(value(entry(DT.VERNEED)) + next), entry(DT.VERNEED) + 8);
      else
        image.writeUInt32LE(next === 0 ? 0 : image.readUInt32LE(before + 12) + next, before + 12);
      const count = entry(DT.VERNEEDNUM);
      image.writeBigUInt64LE(BigInt(value(count) - 1), count + 8);
      break;
    }
    if (next === 0) throw new Error(`Node names no version of ${LIBRARY}`);
    before = at;
    at += next;
  }

  // Nothing but this function is of that version: it is bound here.
  const symbols = offsetOf(value(entry(DT.SYMTAB)));
  const from = offsetOf(value(entry(DT.JMPREL)));
  let bound = 0;
  for (let at = from; at < from + value(entry(DT.PLTRELSZ)); at += RELA_BYTES) {
    const symbol = Number(image.readBigUInt64LE(at + 8) >> 32n);
    if (text(image.readUInt32LE(symbols + SYM_BYTES * symbol)) !== FUNCTION) continue;
    image.writeBigUInt64LE(relative, at + 8);
    image.writeBigInt64LE(BigInt(COMPARE_EXCHANGE_AT), at + 16);
    bound++;
  }
  if (bound !== 1) throw new Error(`Node asks for ${FUNCTION} ${bound} times`);

  // Those behind it move up.
  const end = entry(DT.NULL);
  image.copyWithin(needed, needed + DYN_BYTES, end + DYN_BYTES);
}

function aligned(size: number, to: number): number {
  return Math.ceil(size / to) * to;
}
