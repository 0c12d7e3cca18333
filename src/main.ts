#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import path from 'node:path';
/** The command line: one file per subcommand in `commands/`. */
import { Command } from 'commander';
import { accountCommand } from './commands/account.ts';
import { agentCommand } from './commands/agent.ts';
import { buildCommand } from './commands/build.ts';
import { caCommand } from './commands/ca.ts';
import { demoCommand } from './commands/demo.ts';
import { envCommand } from './commands/env.ts';
import { knownHostsCommand } from './commands/known-hosts.ts';
import { upCommand, workerCommand } from './commands/up.ts';
import { verifyCommand } from './commands/verify.ts';

// What is loaded from here on is kept without its types and compiled: half of a start's time. Where the folder cannot be written, it is not kept.
enableCompileCache(path.join(import.meta.dirname, '..', 'node_modules', '.cache', 'compiled'));

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };

const program = new Command('penstock')
  .description("AWS's developer tools as one self-hosted program: CodeCommit, CodeBuild, CodePipeline, CodeDeploy and what they lean on.")
  .version(version)
  .showHelpAfterError('(penstock --help tells more)')
  .addHelpText(
    'after',
    `
Examples:
  penstock demo                       see a push become a running application, from nothing
  penstock up                         run the server on http://127.0.0.1:4600
  penstock up --port 0 --data ./data  on a free port, with its state in ./data
  eval "$(penstock env)"              point the AWS CLI and SDKs at the running server
  penstock build                      run the buildspec of this folder, without a server
  penstock agent --config agent.yml   run the CodeDeploy agent on a host`,
  );
const commands = [
  demoCommand,
  upCommand,
  workerCommand,
  envCommand,
  buildCommand,
  agentCommand,
  accountCommand,
  caCommand,
  knownHostsCommand,
  verifyCommand,
];
for (const command of commands) program.addCommand(command());

try {
  await program.parseAsync();
} catch (error) {
  const { name, message } = error as Error;
  process.stderr.write(`penstock: ${message}\n`);
  if (process.env.PENSTOCK_LOG_LEVEL === 'debug' || name === 'TypeError' || name === 'ReferenceError') console.error(error);
  // What a start that failed half way may have left open does not keep the process.
  process.exit(1);
}
