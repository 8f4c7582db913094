// SPDX-License-Identifier: Apache-2.0

/** The bundler puts a page in as its text. */
declare module '*.md' {
  const text: string;
  export default text;
}
