// SPDX-License-Identifier: Apache-2.0

import { addressBytes, familyOf } from '../tcp/address.ts';
import { Names } from './anonymize-names.ts';

/** Subnets that fit into 10/8, and then the ones beside it. */
const NETS_IN_A_BYTE = 256;
const FIRST_BYTE = 10;

/**
 * New addresses for old ones. Two IPv4 addresses that share 24 or 16 bits still do, two IPv6 addresses
 * that share 64 or 48 bits too; nothing else of them is kept. Loopback and the unspecified address
 * stay, link-local addresses stay link-local. IPv4 becomes 10.NET.SUBNET.HOST, IPv6
 * 2001:db8:NET:SUBNET::HOST, numbered in the order of first sight.
 */
export class AddressMap {
  readonly #nets = new Names('');
  readonly #subnets = new Map<string, Names>();
  readonly #hosts = new Map<string, Names>();
  readonly #known = new Map<string, string>();

  of(address: string): string {
    if (/^127\.|^0\.0\.0\.0$|^::1?$/.test(address)) return address;
    const known = this.#known.get(address);
    if (known !== undefined) return known;
    const made = familyOf(address) === 6 ? this.#v6(address) : this.#v4(address);
    if (this.#known.size < 200_000) this.#known.set(address, made);
    return made;
  }

  #v4(address: string): string {
    const [a, b, c, d] = address.split('.');
    const net = `${a}.${b}`;
    const subnet = `${net}.${c}`;
    const [n, s] = this.#place(net, subnet);
    const host = within(this.#hosts, subnet).number(String(d));
    if (net === '169.254') return `169.254.${s}.${host % 256}`;
    const first = (FIRST_BYTE + Math.floor(n / NETS_IN_A_BYTE)) % 224;
    return `${first}.${n % NETS_IN_A_BYTE}.${s % NETS_IN_A_BYTE}.${host % 256}`;
  }

  #v6(address: string): string {
    const words = v6Words(address);
    const net = words.slice(0, 3).join(':');
    const subnet = words.slice(0, 4).join(':');
    const [n, s] = this.#place(net, subnet);
    const host = within(this.#hosts, subnet).number(words.slice(4).join(':')).toString(16);
    if (/^fe[89ab]/.test(words[0] ?? '')) return `fe80::${host}`;
    return `2001:db8:${(n + 1).toString(16)}:${(s + 1).toString(16)}::${host}`;
  }

  #place(net: string, subnet: string): [number, number] {
    const n = this.#nets.number(net) - 1;
    return [n, within(this.#subnets, net).number(subnet) - 1];
  }
}

function within(names: Map<string, Names>, key: string): Names {
  const known = names.get(key) ?? new Names('');
  names.set(key, known);
  return known;
}

/** Eight words of an address in any of its forms. */
function v6Words(address: string): string[] {
  const bytes = Buffer.from(addressBytes(address));
  return Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(2 * i).toString(16));
}
