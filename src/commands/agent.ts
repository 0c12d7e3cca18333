/** `penstock agent`: the CodeDeploy agent of a host. */
import { Command } from 'commander';
import { stopSignal } from './up.ts';

export function agentCommand(): Command {
  return new Command('agent')
    .description('run the CodeDeploy agent on this host')
    .requiredOption('--config <file>', 'its configuration (YAML, as of the AWS agent)')
    .option('--root <dir>', 'install below this directory instead of /, for hosts without root')
    .addHelpText('after', '\nExample:\n  penstock agent --config /etc/codedeploy-agent/conf/codedeployagent.yml')
    .action(async ({ config, root }: { config: string; root?: string }) => {
      // Loaded only here: the agent is a program of its own and needs nothing of the server.
      const { runAgent } = await import('../agent/main.ts');
      const stopping = new AbortController();
      stopSignal().then(() => stopping.abort());
      await runAgent({ configFile: config, root, signal: stopping.signal });
    });
}
