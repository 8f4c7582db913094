// SPDX-License-Identifier: Apache-2.0

const BEGIN = '\x1b[200~';
const END = '\x1b[201~';
const INTERRUPT = '\x03';
const LONGEST_PAUSE_MS = 1000;

/**
 * Ink hears no key until a paste that began has come to its end, which a bad line may swallow. Here it comes when nothing
 * more does, or Ctrl-C. The result undoes this.
 */
export function endPastes(stdin: NodeJS.ReadStream): () => void {
  let open = false;
  let tail = '';
  let timer: NodeJS.Timeout | undefined;
  const end = (then: string) => stdin.unshift(END + then, 'utf8');
  const hear = (chunk: string | Buffer) => {
    clearTimeout(timer);
    const text = tail + chunk;
    const [began, ended] = [text.lastIndexOf(BEGIN), text.lastIndexOf(END)];
    if (began !== ended) open = began > ended;
    tail = text.slice(-(END.length - 1));
    if (!open) return;
    if (String(chunk).includes(INTERRUPT)) end(INTERRUPT);
    else timer = setTimeout(end, LONGEST_PAUSE_MS, '');
  };
  stdin.on('data', hear);
  return () => {
    clearTimeout(timer);
    stdin.off('data', hear);
  };
}
