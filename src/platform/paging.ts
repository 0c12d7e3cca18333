/** Opaque, authenticated paging tokens: a client can neither read nor forge where a list goes on. */
import type { Keyring } from './keyring.ts';

export interface Paging {
  /** `scope` ties a token to one list, e.g. `codecommit:ListBranches:<repository id>`. */
  seal(scope: string, position: unknown): string;
  /** Undefined when the token is not one of ours, or is of another scope: answer with the service's own invalid-token error. */
  open<T>(scope: string, token: string): T | undefined;
}

export function createPaging(keyring: Keyring): Paging {
  return {
    seal: (scope, position) => keyring.seal(`paging:${scope}`, Buffer.from(JSON.stringify(position))),
    open<T>(scope: string, token: string): T | undefined {
      const plain = keyring.open(`paging:${scope}`, token);
      return plain === undefined ? undefined : (JSON.parse(plain.toString()) as T);
    },
  };
}
