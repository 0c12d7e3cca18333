/** `penstock demo`: from nothing to a push that became a running application. */
import { Command } from 'commander';
import { Listr, type ListrTaskWrapper } from 'listr2';
import type { Penstock } from '../compose.ts';
import type { Settings } from '../platform/config.ts';
import { type Instance, startInstances } from './demo/instances.ts';
import { INSTANCES, NAME, STAGES } from './demo/names.ts';
import { approve, executionOf, pushedCommit, releaseAgain, requireServing, stageDone } from './demo/release.ts';
import { makeApplication, makePipeline, makeProject, makeRepository, makeRoles } from './demo/resources.ts';
import { makeWorkingCopy, type WorkingCopy } from './demo/working-copy.ts';
import { addServerOptions, start, stop, stopSignal } from './up.ts';

interface Demo {
  penstock: Penstock;
  instances: Instance[];
  copy: WorkingCopy;
  commit: string;
  execution: string;
}

export function demoCommand(): Command {
  return addServerOptions(new Command('demo').description('see a push become a running application'))
    .option('--exit', 'stop at the end; status 0 only if both instances answered with the pushed version')
    .addHelpText('after', '\nExamples:\n  penstock demo\n  penstock demo --exit --data ./demo-data --port 0 --tls-port 0 --ssh-port 0')
    .action(async ({ exit, ...settings }: Settings & { exit?: boolean }) => {
      const stopped = stopSignal();
      const demo = {} as Demo;
      try {
        await tasks(settings).run(demo);
        if (exit) return;
        process.stdout.write(whatNext(demo, settings));
        await stopped;
      } finally {
        await Promise.all((demo.instances ?? []).map((instance) => instance.stop()));
        if (demo.penstock) await stop(demo.penstock);
      }
    });
}

type Task = ListrTaskWrapper<Demo, any, any>;

function tasks(settings: Settings): Listr<Demo> {
  return new Listr<Demo>(
    [
      {
        title: 'Start Penstock',
        task: async (demo, task: Task) => {
          demo.penstock = await start(settings);
          task.title = `Penstock answers at ${demo.penstock.config.endpoints.http}`;
        },
      },
      { title: `Create the repository ${NAME}`, task: ({ penstock }) => makeRepository(penstock) },
      { title: 'Create the artifact bucket and the roles of the services', task: ({ penstock }) => makeRoles(penstock) },
      { title: `Create the build project ${NAME}`, task: ({ penstock }) => makeProject(penstock) },
      {
        title: `Start the instances ${INSTANCES.join(' and ')}, each with an agent`,
        task: async (demo) => {
          demo.instances = await startInstances(demo.penstock);
        },
      },
      { title: 'Create the application and its deployment group', task: ({ penstock }) => makeApplication(penstock) },
      { title: `Create the pipeline ${STAGES.join(' → ')}`, task: ({ penstock }) => makePipeline(penstock) },
      {
        title: 'Push the sample application',
        task: async (demo, task: Task) => {
          demo.copy = await makeWorkingCopy(demo.penstock);
          const before = await pushedCommit(demo.penstock);
          demo.commit = await demo.copy.push();
          const again = before === demo.commit;
          demo.execution = again ? await releaseAgain(demo.penstock) : await executionOf(demo.penstock, demo.commit);
          task.title = `${again ? 'Released again' : 'Pushed'} commit ${demo.commit.slice(0, 8)}: execution ${demo.execution.slice(0, 8)}`;
        },
      },
      ...STAGES.map((stage) => ({ title: stage, task: (demo: Demo, task: Task) => follow(demo, stage, task) })),
      ...INSTANCES.map((name) => ({
        title: `Ask ${name}`,
        task: async (demo: Demo, task: Task) => {
          task.title = await requireServing(demo.instances.find((instance) => instance.name === name)!, demo.commit);
        },
      })),
    ],
    { fallbackRenderer: 'simple', rendererOptions: { collapseErrors: false } },
  );
}

async function follow({ penstock, execution }: Demo, stage: string, task: Task): Promise<void> {
  const began = performance.now();
  const tell = (text: string): void => {
    task.output = text;
  };
  const done = new AbortController();
  const finished = stageDone(penstock, execution, stage, tell).finally(() => done.abort());
  await Promise.all([finished, stage === 'Approval' ? approve(penstock, execution, done.signal) : undefined]);
  task.title = `${stage} succeeded in ${((performance.now() - began) / 1000).toFixed(1)} s`;
}

function whatNext({ penstock, instances, copy }: Demo, settings: Settings): string {
  const data = settings.data ? ` --data ${settings.data}` : '';
  const urls = instances.map((instance) => `  ${instance.url}`).join('\n');
  return `
The application runs on both instances:
${urls}

Try what comes next, in another terminal:
  eval "$(./penstock env${data})"                 point the AWS CLI at this server
  aws codepipeline get-pipeline-state --name ${NAME}
  aws logs filter-log-events --log-group-name /aws/codebuild/${NAME} --query "events[].message" --output text
  aws deploy list-deployments

Change the application and push again:
  cd ${copy.directory}
  edit src/page.js and the version in package.json, git commit -a, git push origin main
  aws codepipeline get-pipeline-state --name ${NAME}   shows the token that put-approval-result needs

Its clone URL is ${copy.cloneUrl}
Everything is kept in ${penstock.config.dataDir}. Ctrl-C stops the demo.
`;
}
