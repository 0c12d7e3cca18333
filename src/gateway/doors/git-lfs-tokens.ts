/** What git LFS gets along instead of a user's credentials: leave for one object, or (from SSH) for one repository, sealed and for a time. */
import type { Keyring } from '../../platform/keyring.ts';

export type LfsOperation = 'download' | 'upload';

/** As long as a presigned address lives at most in practice; git-lfs asks again when it has passed. */
export const LFS_TOKEN_SECONDS = 3600;

/** May move this one object. */
export interface ObjectLeave {
  kind: 'object';
  operation: LfsOperation;
  repositoryId: string;
  repositoryName: string;
  oid: string;
  size: number;
}

/** May ask as the user of this SSH key, as long as the key is active. */
export interface KeyLeave {
  kind: 'ssh-key';
  operation: LfsOperation;
  keyId: string;
  repositoryName: string;
}

const PURPOSE = 'git-lfs';

/** An `Authorization` header. */
export function sealLeave(keyring: Keyring, leave: ObjectLeave | KeyLeave, now: Date): string {
  const statement = { ...leave, until: now.getTime() + LFS_TOKEN_SECONDS * 1000 };
  return `Bearer ${keyring.seal(PURPOSE, Buffer.from(JSON.stringify(statement)))}`;
}

/** Undefined when the header is none of ours, or its time has passed. */
export function openLeave(keyring: Keyring, header: string | undefined, now: Date): ObjectLeave | KeyLeave | undefined {
  const sealed = /^Bearer ([\w-]+)$/.exec(header ?? '')?.[1];
  const plain = sealed === undefined ? undefined : keyring.open(PURPOSE, sealed);
  if (!plain) return undefined;
  const { until, ...leave } = JSON.parse(plain.toString()) as (ObjectLeave | KeyLeave) & { until: number };
  return until > now.getTime() ? leave : undefined;
}
