/** Each folder of test/scenarios/reports has files as a test or coverage tool prints them, and `expected.yml` says what is read out of them. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import { FORMAT_NAMES, type FormatName } from '../../src/devtools/codebuild/reports/formats/formats.ts';
import type { FileCoverage } from '../../src/devtools/codebuild/reports/formats/result.ts';
import { parseFiles } from '../../src/devtools/codebuild/reports/parse.ts';
import type { StoredCase } from '../../src/devtools/codebuild/reports/parsed-report.ts';

interface Expected {
  format: FormatName;
  /** Of each case, what it must have. */
  cases?: Partial<StoredCase>[];
  coverage?: FileCoverage[];
  /** Those that are not 0. */
  counts?: Record<string, number>;
  duration?: number;
  /** File → part of the reason. */
  skipped?: Record<string, string>;
  malformed?: Record<string, string>;
}

const folder = path.join(import.meta.dirname, 'reports');
const scenarios = readdirSync(folder)
  .sort()
  .map((name) => ({ name, expected: parse(readFileSync(path.join(folder, name, 'expected.yml'), 'utf8')) as Expected }));

describe('report files', () => {
  for (const { name, expected } of scenarios) {
    test(name, async () => {
      const files = readdirSync(path.join(folder, name)).filter((file) => file !== 'expected.yml');
      const report = await read(expected.format, files.sort().map((file) => path.join(folder, name, file)));
      const found = report.cases.map((each, index) => pick(each, Object.keys(expected.cases?.[index] ?? each)));
      if (expected.cases) assert.deepEqual(found, expected.cases);
      if (expected.coverage) assert.deepEqual(report.coverage, expected.coverage);
      if (expected.counts) assert.deepEqual(Object.fromEntries(Object.entries(report.statusCounts).filter(([, count]) => count)), expected.counts);
      if (expected.duration !== undefined) assert.equal(report.duration, expected.duration);
      told(report.skipped, expected.skipped);
      told(report.malformed, expected.malformed);
      assert.equal(report.truncated, false);
    });
  }

  test('every format has an example', () => {
    assert.deepEqual([...new Set(scenarios.map(({ expected }) => expected.format))].sort(), [...FORMAT_NAMES].sort());
  });
});

const read = (format: FormatName, files: string[]) =>
  parseFiles(
    format,
    files.map((file) => ({ name: path.basename(file), path: file })),
    new AbortController().signal,
  );

function pick(from: object, keys: string[]): object {
  return Object.fromEntries(Object.entries(from).filter(([key]) => keys.includes(key)));
}

function told(actual: { name: string; reason: string }[], expected: Record<string, string> = {}): void {
  assert.deepEqual(
    actual.map(({ name }) => name),
    Object.keys(expected),
    JSON.stringify(actual),
  );
  for (const { name, reason } of actual) assert.ok(reason.includes(expected[name]!), `${name}: ${reason}`);
}

describe('large report files', () => {
  const written = async (name: string, content: string | Buffer, use: (file: string) => Promise<void>) => {
    const directory = await mkdtemp(path.join(tmpdir(), 'penstock-reports-'));
    try {
      await writeFile(path.join(directory, name), content);
      await use(path.join(directory, name));
    } finally {
      await rm(directory, { recursive: true });
    }
  };

  test('of more than 500 cases those that failed are kept first, and all are counted', async () => {
    const lines = Array.from({ length: 20_000 }, (_, index) => `<testcase name="t${index}" time="0.001">${index % 100 === 99 ? '<failure/>' : ''}</testcase>`);
    const long = `<testcase name="${'n'.repeat(2000)}"><error message="${'m'.repeat(9000)}"/></testcase>`;
    await written('large.xml', `<testsuite name="s">${lines.join('\n')}${long}</testsuite>`, async (file) => {
      const { cases, statusCounts, truncated, duration } = await read('JUNITXML', [file]);
      assert.deepEqual(statusCounts, { SUCCEEDED: 19_800, FAILED: 200, ERROR: 1, SKIPPED: 0, UNKNOWN: 0 });
      assert.equal(cases.length, 500);
      assert.equal(truncated, true);
      assert.equal(duration, 20_000 * 1e6);
      assert.equal(cases.filter(({ status }) => status === 'FAILED').length, 200);
      assert.equal(cases[0]!.name, 't0');
      assert.equal(cases.at(-1)!.name.length, 1000);
      assert.equal(cases.at(-1)!.message.length, 5000);
    });
  });

  test('the server’s own thread is free while 30 MB are read', async () => {
    const one = `<testcase name="t" classname="c" time="0.01"><system-out>${'x'.repeat(1000)}</system-out></testcase>\n`;
    await written('large.xml', `<testsuite name="s">${one.repeat(30_000)}</testsuite>`, async (file) => {
      let turns = 0;
      const timer = setInterval(() => turns++, 1);
      const { statusCounts } = await read('JUNITXML', [file]).finally(() => clearInterval(timer));
      assert.equal(statusCounts.SUCCEEDED, 30_000);
      assert.ok(turns > 0, 'timers ran meanwhile');
    });
  });

  test('nothing of a tag, a text or a depth without end is kept in memory', async () => {
    for (const [content, reason] of [
      [`<testsuite name="${'x'.repeat(5_000_000)}"/>`, /a tag is longer than/],
      ['<a>'.repeat(100_000).replace('<a>', '<testsuite>'), /nested more than 256 deep/],
      [`<testsuite><testcase name="a"><failure>${'<![CDATA[x]]>y&amp;'.repeat(100_000)}`, /ends too early/],
    ] as const) {
      await written('hostile.xml', content, async (file) => {
        const { malformed } = await read('JUNITXML', [file]);
        assert.match(malformed[0]!.reason, reason);
      });
    }
  });

  test('JSON that would take gigabytes is refused before it is parsed', async () => {
    for (const [content, reason] of [
      ['['.repeat(5_000_000), /nested more than 200 deep/],
      [`[{"elements":[${'{},'.repeat(1_100_000)}{}]}]`, /more than 1000000 lists and objects/],
      [`[{"name":"${'[{'.repeat(1_100_000)}"}]`, undefined],
    ] as const) {
      await written('hostile.json', content, async (file) => {
        const { malformed, cases } = await read('CUCUMBERJSON', [file]);
        if (reason) assert.match(malformed[0]!.reason, reason);
        else assert.deepEqual([malformed, cases], [[], []], 'what stands in a text counts for nothing');
      });
    }
  });

  test('many readings at once all come to their end', async () => {
    await written('large.xml', `<testsuite name="s">${'<testcase name="t"/>'.repeat(20_000)}</testsuite>`, async (file) => {
      const reports = await Promise.all(Array.from({ length: 6 }, () => read('JUNITXML', [file])));
      assert.deepEqual(reports.map(({ statusCounts }) => statusCounts.SUCCEEDED), Array(6).fill(20_000));
    });
  });

  test('a reading that is not waited for any more ends', async () => {
    await written('large.xml', `<testsuite name="s">${'<testcase name="t"/>'.repeat(200_000)}`, async (file) => {
      const abort = new AbortController();
      const reading = parseFiles('JUNITXML', [{ name: 'large.xml', path: file }], abort.signal);
      abort.abort(new Error('stopped'));
      await assert.rejects(reading, /stopped/);
    });
  });

  test('UTF-16 and declared encodings are read', async () => {
    const text = '<?xml version="1.0" encoding="utf-16"?><testsuite name="s"><testcase name="prüft ✓"/></testsuite>';
    await written('utf16.xml', Buffer.from(`\uFEFF${text}`, 'utf16le'), async (file) => {
      assert.equal((await read('JUNITXML', [file])).cases[0]!.name, 'prüft ✓');
    });
    await written('latin.xml', Buffer.from('<?xml version="1.0" encoding="ISO-8859-1"?><testsuite><testcase name="prüft"/></testsuite>', 'latin1'), async (file) => {
      assert.equal((await read('JUNITXML', [file])).cases[0]!.name, 'prüft');
    });
    await written('odd.xml', '<?xml version="1.0" encoding="klingon"?><testsuite/>', async (file) => {
      assert.match((await read('JUNITXML', [file])).malformed[0]!.reason, /the encoding klingon is not known/);
    });
  });
});
