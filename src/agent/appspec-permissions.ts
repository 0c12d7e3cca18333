import { type Ace, parseAce } from './acl.ts';
import { AppSpecError } from './failure.ts';

/** One entry of an appspec's `permissions`. */
export interface Permission {
  /** The file, or the directory whose content is meant. */
  object: string;
  /** `**` for everything below the directory, else a name in it with `*`. */
  pattern: string;
  except: string[];
  types: ('file' | 'directory')[];
  owner: string | undefined;
  group: string | undefined;
  /** Three or four octal digits. */
  mode: string | undefined;
  acls: Ace[] | undefined;
  context: SelinuxContext | undefined;
}

interface SelinuxContext {
  user: string | undefined;
  type: string;
  /** `s0`, `s0-s3:c1.c4,c7`, … */
  range: string | undefined;
}

/** Checks the entries of a `permissions` section. `modeText`: the mode of the entry with that index as it was written. */
export function parsePermissions(entries: Record<string, unknown>[], modeText: (index: number) => string | undefined): Permission[] {
  return entries.map((entry, index) => {
    const object = text(entry.object)?.trim() ?? '';
    if (object === '') {
      throw new AppSpecError(
        'The deployment failed because a permission listed in the application specification file has no object value. ' +
          'Update the permissions section of the AppSpec file, and then try again.',
      );
    }
    const mode = modeText(index);
    return {
      object,
      pattern: text(entry.pattern) ?? '**',
      except: texts(entry.except),
      types: entry.type === undefined || entry.type === null ? ['file', 'directory'] : texts(entry.type).map(parseType),
      owner: text(entry.owner),
      group: text(entry.group),
      mode: mode === undefined ? undefined : parseMode(mode),
      acls: entry.acls === undefined || entry.acls === null ? undefined : texts(entry.acls).map(parseAce),
      context: entry.context === undefined || entry.context === null ? undefined : parseContext(entry.context),
    };
  });
}

/** Throws if a permission that names a single file has what only suits a directory. */
export function checkForFile(permission: Permission): void {
  const { object, pattern, except } = permission;
  if (pattern !== '**') {
    throw new AppSpecError(
      `The deployment failed because the application specification file includes an object (${object}) with an invalid pattern (${pattern}), ` +
        'such as a pattern for a file applied to a directory. Correct the permissions section of the AppSpec file, and then try again.',
    );
  }
  if (except.length > 0) {
    throw new AppSpecError(
      `The deployment failed because the except parameter for a pattern in the permissions section (${except.join(', ')}) for the object named ` +
        `${object} contains an invalid format. Update the AppSpec file, and then try again.`,
    );
  }
  checkFileAcl(permission);
}

/** Throws if default ACL entries would be put on a file. */
export function checkFileAcl({ acls }: Permission): void {
  if (acls?.some((ace) => ace.isDefault)) {
    throw new AppSpecError(
      'The deployment failed because the -d parameter has been specified to apply an acl setting to a file. ' +
        'This parameter is supported for directories only. Update the AppSpec file, and then try again.',
    );
  }
}

/** Whether a permission on a directory means this path: everything below for `**`, else an entry of the directory that the pattern fits. */
export function appliesTo(permission: Permission, object: string, path: string): boolean {
  const base = object.endsWith('/') ? object : `${object}/`;
  if (!path.startsWith(base)) return false;
  const relative = path.slice(base.length);
  if (permission.except.some((pattern) => fits(relative, pattern))) return false;
  return permission.pattern === '**' || fits(relative, permission.pattern);
}

/** A name without a slash against a pattern in which `*` stands for any characters. */
function fits(name: string, pattern: string): boolean {
  if (name.includes('/')) return false;
  const pieces = pattern.split('*');
  const [head, tail] = [pieces[0]!, pieces[pieces.length - 1]!];
  if (pieces.length === 1) return name === pattern;
  if (name.length < head.length + tail.length || !name.startsWith(head) || !name.endsWith(tail)) return false;
  // Each piece in the middle is taken where it comes first; that never costs a later one its place.
  let position = head.length;
  for (const piece of pieces.slice(1, -1)) {
    const found = name.indexOf(piece, position);
    if (found < 0) return false;
    position = found + piece.length;
  }
  return position <= name.length - tail.length;
}

function parseMode(written: string): string {
  const mode = written.padStart(3, '0');
  if (mode.length > 4) {
    throw new AppSpecError(
      `The deployment failed because the length of a permissions mode (${mode}) in the application specification file is invalid. ` +
        'Permissions modes must be between one and four characters long. Update the permissions section of the AppSpec file, and then try again.',
    );
  }
  const wrong = /[^0-7]/.exec(mode)?.[0];
  if (wrong !== undefined) {
    throw new AppSpecError(
      `The deployment failed because the permissions mode (${mode}) in the application specification file contains an invalid character (${wrong}). ` +
        'Update the permissions section of the AppSpec file, and then try again.',
    );
  }
  return mode;
}

function parseType(type: string): 'file' | 'directory' {
  if (type === 'file' || type === 'directory') return type;
  throw new AppSpecError(
    `The deployment failed because the application specification file specifies a permission for an object type not supported for permissions (${type}). ` +
      'Update the permissions section of the AppSpec file, and then try again.',
  );
}

function parseContext(value: unknown): SelinuxContext {
  const context = (typeof value === 'object' ? value : {}) as Record<string, unknown>;
  const type = text(context.type);
  if (type === undefined) {
    throw new AppSpecError(
      `The deployment failed because the application specification file specifies an invalid context type (${JSON.stringify(value)}). ` +
        'Update the permissions section of the AppSpec file, and then try again.',
    );
  }
  // The AWS agent reads the user from "name"; its guide calls it "user".
  return {
    user: text(context.name) ?? text(context.user),
    type,
    range: context.range === undefined ? undefined : parseRange(String(context.range)),
  };
}

/** `s#[-s#][:c#[.c#][,c#[.c#]]*]`, categories up to 1023. */
function parseRange(range: string): string {
  const invalid = () =>
    new AppSpecError(
      `The deployment failed because of a problem with the SELinux range specified (${range}) for the context parameter in the permissions section ` +
        'of the application specification file. Make corrections in the permissions section of the AppSpec file, and then try again.',
    );
  const parts = /^s(\d+)(?:-s(\d+))?(?::(c\d+(?:\.c\d+)?(?:,c\d+(?:\.c\d+)?)*))?$/.exec(range);
  if (!parts || Number(parts[2] ?? parts[1]) < Number(parts[1])) throw invalid();
  const seen = new Set<number>();
  for (const category of parts[3]?.split(',') ?? []) {
    const [low = 0, high = low] = category.split('.').map((name) => Number(name.slice(1)));
    if (high < low || high > 1023) throw invalid();
    for (let number = low; number <= high; number++) {
      if (seen.has(number)) throw invalid();
      seen.add(number);
    }
  }
  return range;
}

function text(value: unknown): string | undefined {
  return value === undefined || value === null ? undefined : String(value);
}

function texts(value: unknown): string[] {
  if (value === undefined || value === null) return [];
  return (Array.isArray(value) ? value : [value]).map(String);
}
