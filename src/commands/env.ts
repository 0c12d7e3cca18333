/** `penstock env`: what a shell needs to use the running server. */
import { Command } from 'commander';
import { readConfig } from '../platform/config.ts';
import { findRunning, type RunningServer } from './running.ts';

export function envCommand(): Command {
  return new Command('env')
    .description('print the settings that point AWS clients at the running server')
    .option('--data <dir>', 'the data directory of the server (PENSTOCK_DATA)')
    .option('--json', 'as JSON instead of shell exports')
    .addHelpText('after', '\nExamples:\n  eval "$(penstock env)"\n  penstock env --json')
    .action(({ data, json }: { data?: string; json?: boolean }) => {
      const { config } = readConfig({ data }, process.env);
      const running = findRunning(config.dataDir);
      if (!running)
        throw new Error(`No server runs on ${config.dataDir}. Start one with "penstock up", or name its directory with --data.`);
      const variables = environmentOf(running);
      process.stdout.write(json ? `${JSON.stringify(variables, null, 2)}\n` : exportsOf(variables));
    });
}

export function environmentOf(running: RunningServer): Record<string, string> {
  return {
    AWS_ENDPOINT_URL: running.endpoint,
    AWS_ACCESS_KEY_ID: running.accessKeyId,
    AWS_SECRET_ACCESS_KEY: running.secretAccessKey,
    AWS_REGION: running.region,
    AWS_DEFAULT_REGION: running.region,
    PENSTOCK_CA_FILE: running.caFile,
  };
}

function exportsOf(variables: Record<string, string>): string {
  const lines = Object.entries(variables).map(([name, value]) => `export ${name}='${value.replaceAll("'", `'\\''`)}'`);
  // A session token of real AWS left in the shell would be sent along and refused.
  return `${lines.join('\n')}\nunset AWS_SESSION_TOKEN AWS_PROFILE\n`;
}
