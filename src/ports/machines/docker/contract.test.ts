import { after, before, describe, test } from 'node:test';
import { contract } from '../contract.ts';
import { Bench, type Subject, shell } from '../contract-bench.ts';
import { commandContract } from '../contract-commands.ts';
import { createDockerMachines } from './index.ts';
import { TestEngine, testImage, whyNoEngine } from './test-engine.ts';

// Much of their time is waiting for the engine.
describe('machines: docker', { skip: await whyNoEngine(), concurrency: 4 }, () => {
  let engine: TestEngine;
  let subject: Subject;
  before(async () => {
    engine = await TestEngine.start();
    subject = {
      name: 'docker',
      open: (dataDir) => createDockerMachines({ dataDir, env: engine.env }),
      spec: { image: { name: testImage } },
      ...shell,
    };
  });
  after(async () => {
    await engine[Symbol.asyncDispose]();
  });

  for (const { name, run } of [...contract, ...commandContract]) {
    test(name, async () => {
      await using bench = new Bench(subject);
      await run(bench);
    });
  }
});
