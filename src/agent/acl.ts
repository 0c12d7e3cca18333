import { AppSpecError } from './failure.ts';

/** One entry of an access control list. */
export interface Ace {
  isDefault: boolean;
  kind: 'user' | 'group' | 'mask' | 'other';
  /** Empty for the owner, the owning group, mask and others. */
  name: string;
  /** `rwx` with `-` for what is not granted. */
  rights: string;
}

const KINDS: Record<string, Ace['kind']> = {
  u: 'user',
  user: 'user',
  g: 'group',
  group: 'group',
  m: 'mask',
  mask: 'mask',
  o: 'other',
  other: 'other',
};

/** Parses `[d[efault]:][u[ser]|g[roup]|m[ask]|o[ther]:][name]:rights`, as setfacl(1) writes entries. */
export function parseAce(entry: string): Ace {
  const invalid = () =>
    new AppSpecError(
      'The deployment failed because of a problem with the acls permission settings in the application specification file. ' +
        `Invalid acl entry (${entry}).`,
    );
  const parts = entry.split(':');
  const isDefault = parts.length > 2 && (parts[0] === 'd' || parts[0] === 'default');
  if (isDefault) parts.shift();
  if (parts.length < 2 || parts.length > 3) throw invalid();

  const rights = parseRights(entry, parts.pop()!);
  // "m:rx" and "o:rx" have no name field; "alice:rx" has no kind.
  const short = parts.length === 1;
  const shortKind = short ? KINDS[parts[0]!] : undefined;
  const kind = short ? (shortKind === 'mask' || shortKind === 'other' ? shortKind : 'user') : KINDS[parts[0]!];
  if (kind === undefined) throw invalid();
  const name = short ? (kind === 'user' ? parts[0]! : '') : parts[1]!;

  if ((kind === 'mask' || kind === 'other') && name !== '') throw invalid();
  if (!isDefault && kind !== 'mask' && name === '') {
    throw new AppSpecError(
      'The deployment failed because of a problem with the acls permission settings in the application specification file. ' +
        `Use mode to set the base acl entry (${entry}). Update the permissions section of the AppSpec file, and then try again.`,
    );
  }
  return { isDefault, kind, name, rights };
}

/** An entry in setfacl's long form. */
export function formatAce({ isDefault, kind, name, rights }: Ace): string {
  return `${isDefault ? 'default:' : ''}${kind}:${name}:${rights}`;
}

/**
 * The whole list to set on an object whose mode is given: the entries of the appspec, the base entries of the mode, and the masks and
 * default base entries that setfacl demands beside named and default ones.
 */
export function completeAcl(aces: Ace[], mode: number): Ace[] {
  const [user, group, other] = [(mode >> 6) & 7, (mode >> 3) & 7, mode & 7].map(rightsOf) as [string, string, string];
  const entry = (isDefault: boolean, kind: Ace['kind'], rights: string): Ace => ({ isDefault, kind, name: '', rights });
  const complete = [...aces, entry(false, 'user', user), entry(false, 'group', group), entry(false, 'other', other)];

  const base = aces.filter((ace) => !ace.isDefault);
  if (base.some((ace) => ace.name !== '') && !base.some((ace) => ace.kind === 'mask')) complete.push(entry(false, 'mask', group));

  const defaults = aces.filter((ace) => ace.isDefault);
  if (defaults.length === 0) return complete;
  const owning = (kind: Ace['kind']) => defaults.find((ace) => ace.kind === kind && ace.name === '');
  if (!owning('user')) complete.push(entry(true, 'user', user));
  if (!owning('group')) complete.push(entry(true, 'group', group));
  if (!owning('other')) complete.push(entry(true, 'other', other));
  if (defaults.some((ace) => ace.name !== '') && !owning('mask')) complete.push(entry(true, 'mask', owning('group')?.rights ?? group));
  return complete;
}

function parseRights(entry: string, rights: string): string {
  if (/^[0-7]$/.test(rights)) return rightsOf(Number(rights));
  const wrong = /[^rwx-]/.exec(rights)?.[0];
  if (wrong !== undefined) {
    throw new AppSpecError(
      `The deployment failed because the access control list (ACL) named ${entry} in the application specification file contains an invalid ` +
        `character (${wrong}). Correct the ACL in the hooks section of the AppSpec file, and then try again.`,
    );
  }
  return ['r', 'w', 'x'].map((right) => (rights.includes(right) ? right : '-')).join('');
}

function rightsOf(bits: number): string {
  return `${bits & 4 ? 'r' : '-'}${bits & 2 ? 'w' : '-'}${bits & 1 ? 'x' : '-'}`;
}
