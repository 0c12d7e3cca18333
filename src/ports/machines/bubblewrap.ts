import type { HolderPlan } from './holder.ts';

/**
 * The arguments by which bubblewrap builds a sandbox and becomes its process 1.
 *
 * bubblewrap is preferred where it is installed: it makes the mounts itself, where unshare needs a shell and mount(8).
 * `--die-with-parent` is left out on purpose: a machine outlives the server.
 */
export function bubblewrapCommand(program: string, plan: HolderPlan): string[] {
  const { layout, network, mapInside, hold } = plan;
  return [
    program,
    ...['--unshare-pid', '--unshare-ipc', '--unshare-uts', '--hostname', layout.hostname],
    ...(network === 'none' ? ['--unshare-net'] : []),
    ...(mapInside ? [] : ['--unshare-user', '--uid', '0', '--gid', '0']),
    ...['--bind', layout.root, '/'],
    ...layout.shown.flatMap((path) => ['--ro-bind', path, path]),
    ...['--proc', '/proc', '--dev', '/dev', '--perms', '1777', '--tmpfs', '/dev/shm'],
    ...layout.files.flatMap(({ source, target }) => ['--ro-bind', source, target]),
    ...layout.hidden.flatMap((path) => ['--perms', '0700', '--tmpfs', path]),
    ...layout.mounts.flatMap(({ source, target, readOnly }) => [readOnly ? '--ro-bind' : '--bind', source, target]),
    ...['--chdir', '/', '--as-pid-1', '--info-fd', '4', '--'],
    ...hold,
  ];
}
