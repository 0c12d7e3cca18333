/**
 * The tools that builds find: the host's own, since no image is used. Those of the system are in every machine; those that the server's PATH
 * adds (a version manager's, a language's) are made visible read-only, and so is the Node that runs Penstock.
 */
import { existsSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import type { MachineSpec } from '../../../ports/machines/port.ts';

const SYSTEM = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];
const TOOL_FOLDERS = new Set(['bin', 'sbin', 'shims']);

export interface HostTools {
  path: string;
  mounts: NonNullable<MachineSpec['mounts']>;
}

const known = new Map<string, HostTools>();

export function hostTools(dataDir: string): HostTools {
  const tools = known.get(dataDir) ?? findTools(dataDir);
  known.set(dataDir, tools);
  return tools;
}

function findTools(dataDir: string): HostTools {
  const ownNode = path.dirname(process.execPath);
  const wanted = [...(process.env.PATH ?? '').split(path.delimiter), ownNode];
  const folders = [...new Set(wanted)].filter((folder) => path.isAbsolute(folder) && !SYSTEM.includes(folder) && isFolder(folder));
  const shown = new Set(folders.map((folder) => treeOf(folder, dataDir)));
  const outermost = [...shown].filter((tree) => ![...shown].some((other) => other !== tree && tree.startsWith(`${other}/`)));
  return {
    path: [...folders.filter((folder) => folder !== ownNode), ...SYSTEM, ownNode].join(path.delimiter),
    mounts: outermost
      .filter((tree) => !/^\/(usr|bin|sbin|lib)(\/|$)/.test(tree))
      .map((tree) => ({ source: tree, target: tree, readOnly: true })),
  };
}

function isFolder(folder: string): boolean {
  return existsSync(folder) && statSync(folder).isDirectory();
}

/**
 * Tools need what lies beside their `bin`; but a folder that keeps credentials too, or people's or Penstock's own files, is not shown for the
 * sake of its `bin`.
 */
function treeOf(folder: string, dataDir: string): string {
  const parent = path.dirname(folder);
  const holds = (inner: string): boolean => inner === parent || inner.startsWith(parent === '/' ? '/' : `${parent}/`);
  const personal = holds(homedir()) || holds(dataDir) || holds(existsSync(dataDir) ? realpathSync(dataDir) : dataDir);
  if (!TOOL_FOLDERS.has(path.basename(folder)) || personal) return folder;
  const secrets = readdirSync(parent).some((name) => /^(\.?credentials|\.?netrc|.*token)/i.test(name));
  return secrets ? folder : parent;
}
