/** Installations below a root that hostile or stale things on the host try to lead astray. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { parseAppSpec } from './appspec.ts';
import { destinationsOn } from './destinations.ts';
import { carryOut, cleanUp } from './install.ts';
import { planInstall } from './install-plan.ts';
import { modeOf, treeOf } from './testing.ts';

let directory: string;
let root: string;
let archive: string;
let files: { installFile: string; cleanupFile: string };
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'penstock-install-'));
  root = join(directory, 'root');
  archive = join(directory, 'archive');
  files = { installFile: join(directory, 'install.json'), cleanupFile: join(directory, 'cleanup') };
  await mkdir(root);
  await mkdir(join(archive, 'app'), { recursive: true });
  await mkdir(join(directory, 'outside'));
  await writeFile(join(archive, 'app/a.txt'), 'new');
});
afterEach(() => rm(directory, { recursive: true, force: true }));

async function install(appspec: string, behavior = 'DISALLOW'): Promise<void> {
  const destinations = destinationsOn(root);
  const plan = await planInstall(archive, parseAppSpec(`version: 0.0\nos: linux\n${appspec}`), behavior, destinations);
  await carryOut(plan, files, behavior, destinations);
}

const APP_TO = (destination: string) => `files:\n  - source: app\n    destination: ${destination}\n`;

test('a link on the host that leads out of the root is not followed', async () => {
  await symlink(join(directory, 'outside'), join(root, 'srv'));
  await assert.rejects(install(APP_TO('/srv')), /outside of the agent's root directory/);
  await assert.rejects(install(APP_TO('/srv/deeper')), /outside of the agent's root directory/);
  assert.deepEqual(await treeOf(join(directory, 'outside')), {});
});

test('a link of the revision itself that would carry later files out is not followed', async () => {
  await symlink(join(directory, 'outside'), join(archive, 'app/way'));
  const appspec = `${APP_TO('/srv')}  - source: app/a.txt\n    destination: /srv/way\n`;
  await assert.rejects(install(appspec), /mkdir command more than once/);
  assert.deepEqual(await treeOf(join(directory, 'outside')), {});
});

test('links inside of the root are followed, and overwriting replaces a link and not its target', async () => {
  await mkdir(join(root, 'data/srv'), { recursive: true });
  await symlink('data/srv', join(root, 'srv'));
  await writeFile(join(directory, 'outside/victim'), 'kept');
  await symlink(join(directory, 'outside/victim'), join(root, 'data/srv/a.txt'));
  await install(APP_TO('/srv'), 'OVERWRITE');
  assert.equal(await readFile(join(root, 'data/srv/a.txt'), 'utf8'), 'new');
  assert.equal(await readFile(join(directory, 'outside/victim'), 'utf8'), 'kept');
});

test('permissions do not reach through a link', async () => {
  await writeFile(join(directory, 'outside/victim'), 'kept', { mode: 0o600 });
  await symlink(join(directory, 'outside/victim'), join(archive, 'app/link'));
  await install(`${APP_TO('/srv')}permissions:\n  - object: /srv\n    mode: 777\n    type: [file]\n`);
  assert.equal(await modeOf(join(directory, 'outside/victim')), '600');
  assert.equal(await modeOf(join(root, 'srv/a.txt')), '777');
});

test('the cleanup removes what was installed, keeps what was added, and leaves the rest of the host alone', async () => {
  await install(APP_TO('/srv/app'));
  await writeFile(join(root, 'srv/app/user-data'), 'mine');
  await cleanUp(files.cleanupFile, destinationsOn(root));
  assert.deepEqual(await treeOf(root), { 'srv/app/user-data': 'mine' });
  await cleanUp(files.cleanupFile, destinationsOn(root));

  const victim = join(directory, 'outside/victim');
  await writeFile(victim, 'kept');
  await writeFile(files.cleanupFile, `${victim}\n`);
  await assert.rejects(cleanUp(files.cleanupFile, destinationsOn(root)), /outside of the agent's root directory/);
  assert.equal(await readFile(victim, 'utf8'), 'kept');
});

test('the last line of a cleanup file that was cut off is not taken for a path', async () => {
  await install(APP_TO('/srv/app'));
  const content = await readFile(files.cleanupFile, 'utf8');
  await writeFile(files.cleanupFile, content.slice(0, -'/a.txt\n'.length));
  await cleanUp(files.cleanupFile, destinationsOn(root));
  assert.deepEqual(await treeOf(root), { 'srv/app/a.txt': 'new' });
});

test('an installation that fails halfway is removed by the next', async () => {
  const appspec = `${APP_TO('/srv')}permissions:\n  - object: /srv/a.txt\n    owner: no-such-user\n`;
  await assert.rejects(install(appspec), /can't find user for no-such-user/);
  await cleanUp(files.cleanupFile, destinationsOn(root));
  assert.deepEqual(await treeOf(root), {});
  await install(APP_TO('/srv'));
  assert.deepEqual(await treeOf(root), { 'srv/a.txt': 'new' });
});

test('paths that are not absolute, and names with line breaks, are refused', async () => {
  await assert.rejects(install(APP_TO('srv')), /not absolute: srv/);
  await assert.rejects(install(APP_TO('C:/srv')), /not absolute/);
  await assert.rejects(install(APP_TO('"/srv\\n/etc/passwd"')), /line break/);
  await writeFile(join(archive, 'app/a\n'), 'x');
  await assert.rejects(install(APP_TO('/srv')), /line break/);
  await assert.rejects(install('files:\n  - source: ../outside\n    destination: /srv\n'), /leads out of the revision/);
});
