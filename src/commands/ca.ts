/** `penstock ca`: where the local certificate authority is, for clients of the HTTPS port. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { Command } from 'commander';
import { readConfig } from '../platform/config.ts';

export function caCommand(): Command {
  return new Command('ca')
    .description('print the path of the local CA certificate')
    .option('--data <dir>', 'the data directory of the server (PENSTOCK_DATA)')
    .addHelpText(
      'after',
      '\nExamples:\n  export AWS_CA_BUNDLE="$(penstock ca)"\n  git -c http.sslCAInfo="$(penstock ca)" clone https://localhost:4601/v1/repos/my-repo',
    )
    .action(({ data }: { data?: string }) => {
      const { config } = readConfig({ data }, process.env);
      const file = path.join(config.dataDir, 'ca.pem');
      if (!existsSync(file))
        throw new Error(`There is no CA in ${config.dataDir} yet: it is made when "penstock up" starts for the first time.`);
      process.stdout.write(`${file}\n`);
    });
}
