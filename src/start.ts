/** How every command that needs the server begins: the database starts while the server's modules are loaded, since each takes a third of a second. */
import { accessSync, constants, mkdirSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import type { Penstock } from './compose.ts';
import { requireGit } from './git/program.ts';
import { type Config, ConfigError, type Ports } from './platform/config.ts';
import { startEmbedded } from './platform/database/embedded.ts';
import { giveBackIdleMemory } from './platform/idle-memory.ts';
import { createLogger } from './platform/log.ts';

export async function startPenstock(config: Config, ports: Ports, env: NodeJS.ProcessEnv): Promise<Penstock> {
  // Bytes of streams count as heap, and most of what else is there (models, code) lives for ever: looking through all of it after every 20 MB
  // that pass by, as is the default, took a third of the processor time of a push.
  setFlagsFromString('--heap-growing-percent=150');
  const log = createLogger(config.logLevel);
  requireDirectory(config.dataDir);
  await requireGit();
  const database = config.databaseUrl === undefined ? startEmbedded(config.dataDir, log) : undefined;
  database?.catch(() => {}); // Whoever awaits it is told; until then there is nobody.
  const { compose } = await import('./compose.ts');
  const penstock = await compose(config, ports, env, log, database);
  giveBackIdleMemory();
  return penstock;
}

function requireDirectory(dataDir: string): void {
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    accessSync(dataDir, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw new ConfigError(
      `The data directory ${dataDir} cannot be used (${(cause as Error).message}). Choose another one with --data or PENSTOCK_DATA.`,
      { cause },
    );
  }
}
