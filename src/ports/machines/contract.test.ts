import { describe, test } from 'node:test';
import { contract } from './contract.ts';
import { Bench } from './contract-bench.ts';
import { subjects, whyNot } from './test-subjects.ts';

for (const subject of subjects) {
  describe(`machines: ${subject.name}`, { skip: await whyNot(subject) }, () => {
    for (const { name, run } of contract) {
      test(name, async () => {
        await using bench = new Bench(subject);
        await run(bench);
      });
    }
  });
}
