// SPDX-License-Identifier: Apache-2.0

interface Seen {
  /** Heads its part of docs/causes/README.md; letters and blanks only, as links go by it. */
  title: string;
  /** The errno and what strerror() makes of it, or what else somebody sees; as Markdown. */
  how: string;
}

/** What somebody sees of a failure who has no tcpwhy yet, in the order of a connection’s life. */
export const SYMPTOMS = {
  'connect-error': {
    title: 'A connect or bind fails before there is a packet',
    how: 'At once, and a capture shows nothing: EADDRNOTAVAIL (“Cannot assign requested address”), EADDRINUSE (“Address already in use”), EPERM (“Operation not permitted”), EACCES (“Permission denied”), EINVAL (“Invalid argument”), ENODEV (“No such device”).',
  },
  'connect-unreachable': {
    title: 'A connect finds no way',
    how: 'EHOSTUNREACH (“No route to host”) or ENETUNREACH (“Network is unreachable”), at once or after some seconds.',
  },
  'connect-refused': {
    title: 'A connect is refused',
    how: 'ECONNREFUSED (“Connection refused”), at once.',
  },
  'connect-hangs': {
    title: 'A connect hangs',
    how: 'ETIMEDOUT (“Connection timed out”) after about two minutes, or the program’s own timeout. No SYN is answered, or the answer is not believed. What [this host drops](#this-host-drops-segments) looks the same.',
  },
  'connect-late': {
    title: 'A connect succeeds late',
    how: 'It takes 1, 3 or 7 s, now and then: a SYN was not answered, and one that was sent again was. What [this host drops](#this-host-drops-segments) looks the same.',
  },
  'first-request-fails': {
    title: 'It connects and the first request fails',
    how: 'connect() succeeded, and what is sent next is answered with a reset (ECONNRESET) or not at all: the service had not taken the connection.',
  },
  reset: {
    title: 'An open connection is reset',
    how: 'ECONNRESET (“Connection reset by peer”) or EPIPE (“Broken pipe”); a download is cut short.',
  },
  'fails-after-pause': {
    title: 'It fails after a pause',
    how: 'The connection was idle, and the next request on it is reset or never answered.',
  },
  aborted: {
    title: 'An open connection is aborted',
    how: 'ECONNABORTED (“Software caused connection abort”).',
  },
  'stands-still': {
    title: 'An open connection stands still',
    how: 'Nothing moves, and there is no error, at least for minutes. What [this host drops](#this-host-drops-segments) looks the same.',
  },
  'times-out': {
    title: 'An open connection times out',
    how: 'ETIMEDOUT (“Connection timed out”), or EHOSTUNREACH (“No route to host”), of read() or write(). What [this host drops](#this-host-drops-segments) looks the same.',
  },
  slow: {
    title: 'It works and is slow',
    how: 'Segments are sent again, or a round trip more is needed. What [this host drops](#this-host-drops-segments) looks the same.',
  },
  'wrong-peer': {
    title: 'The peer or the answer is a wrong one',
    how: 'Logs have another address than captures, sessions are mixed up, or a program hears itself.',
  },
  dropped: {
    title: 'This host drops segments',
    how: 'What is dropped of a connect makes it hang, or succeed late; what is dropped of an open connection makes it slow, or stand still and time out.',
  },
} as const satisfies Record<string, Seen>;

export type Symptom = keyof typeof SYMPTOMS;
