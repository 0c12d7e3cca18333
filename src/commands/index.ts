/** The command line: one file beside this one for each subcommand. */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string };

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
const commands: Record<string, () => Promise<Command>> = {
  demo: async () => (await import('./demo.ts')).demoCommand(),
  up: async () => (await import('./up.ts')).upCommand(),
  worker: async () => (await import('./up.ts')).workerCommand(),
  env: async () => (await import('./env.ts')).envCommand(),
  build: async () => (await import('./build.ts')).buildCommand(),
  machines: async () => (await import('./machines.ts')).machinesCommand(),
  agent: async () => (await import('./agent.ts')).agentCommand(),
  account: async () => (await import('./account.ts')).accountCommand(),
  connection: async () => (await import('./connection.ts')).connectionCommand(),
  ca: async () => (await import('./ca.ts')).caCommand(),
  'known-hosts': async () => (await import('./known-hosts.ts')).knownHostsCommand(),
  verify: async () => (await import('./verify.ts')).verifyCommand(),
};
// Loading all of them takes longer than most of them run: only the help needs that.
const asked = process.argv[2] ?? '';
const wanted = Object.hasOwn(commands, asked) ? [asked] : Object.keys(commands);
for (const name of wanted) program.addCommand(await commands[name]!());

try {
  await program.parseAsync();
} catch (error) {
  const { name, message } = error as Error;
  process.stderr.write(`penstock: ${message}\n`);
  if (process.env.PENSTOCK_LOG_LEVEL === 'debug' || name === 'TypeError' || name === 'ReferenceError') console.error(error);
  // What a start that failed half way may have left open does not keep the process.
  process.exit(1);
}
