import { expect, test } from 'vitest';
import { connectionError } from '../../lib/client/connection-error.ts';

const failed = (code: string, syscall: string) =>
  connectionError('http://log', Object.assign(new Error(`${syscall} ${code}`), { code, syscall }));

test('a connection that could not be opened has carried nothing', () => {
  for (const code of ['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH']) {
    const { message, effect } = failed(code, 'connect');
    expect([message, effect]).toEqual([`http://log cannot be reached: ${code}`, 'none']);
  }
});

// A request whose connection ended with the network was told to have had no effect.
test('a connection that ends with the network may have carried the request', () => {
  for (const code of ['ECONNRESET', 'EHOSTUNREACH', 'ENETUNREACH']) {
    for (const syscall of ['read', 'write']) {
      const { message, effect } = failed(code, syscall);
      expect([message, effect]).toEqual([`http://log gave no answer: ${syscall} ${code}`, 'unknown']);
    }
  }
});
