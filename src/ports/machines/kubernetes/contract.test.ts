import { after, before, describe, test } from 'node:test';
import { contract } from '../contract.ts';
import { Bench, type Subject, shell } from '../contract-bench.ts';
import { commandContract } from '../contract-commands.ts';
import { createKubernetesMachines } from './index.ts';
import { TestCluster, whyNoCluster } from './test-cluster.ts';

describe('machines: kubernetes', { skip: whyNoCluster() }, () => {
  let cluster: TestCluster;
  let subject: Subject;
  before(async () => {
    cluster = new TestCluster();
    const env = await cluster.start();
    subject = {
      name: 'kubernetes',
      open: (dataDir) => createKubernetesMachines({ dataDir, env }),
      spec: { image: { name: 'busybox:1' } },
      ...shell,
    };
  });
  after(async () => {
    await cluster[Symbol.asyncDispose]();
  });

  // The nodes of the stand-in have no limits.
  for (const { name, run } of [...contract, ...commandContract.filter(({ needs }) => needs === undefined)]) {
    test(name, async () => {
      await using bench = new Bench(subject);
      await run(bench);
    });
  }
});
