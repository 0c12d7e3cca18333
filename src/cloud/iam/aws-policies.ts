/** The managed policies that AWS keeps in every account: one file each in `managed-policies/`. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';

export interface AwsPolicy {
  id: string;
  arn: string;
  name: string;
  path: string;
  description: string;
  /** JSON text. */
  document: string;
}

const folder = new URL('./managed-policies/', import.meta.url);
let loaded: Map<string, AwsPolicy> | undefined;

/** By ARN. */
export function awsPolicies(): ReadonlyMap<string, AwsPolicy> {
  loaded ??= new Map(
    readdirSync(folder)
      .filter((file) => file.endsWith('.json'))
      .sort()
      .map((file) => readPolicyFile(new URL(file, folder)))
      .map((policy) => [policy.arn, policy]),
  );
  return loaded;
}

/** AWS's policies have no row with a date; this is when they were written down. */
export const AWS_POLICIES_SINCE = new Date('2026-11-22T00:00:00Z');

function readPolicyFile(file: URL): AwsPolicy {
  const { name, path, description, document } = JSON.parse(readFileSync(file, 'utf8')) as Omit<AwsPolicy, 'document'> & {
    document: unknown;
  };
  const arn = `arn:aws:iam::aws:policy${path}${name}`;
  const id = `ANPA${createHash('sha256')
    .update(arn)
    .digest('hex')
    .toUpperCase()
    .replace(/[^2-7A-F]/g, 'Z')
    .slice(0, 17)}`;
  return { id, arn, name, path, description, document: JSON.stringify(document) };
}
