/**
 * Writes `docs/coverage.md` from the models and the registered operations: `npm run coverage`. With `--check` it writes nothing and fails
 * when the page is not what it would write.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { loadModel, modelNames } from '../src/platform/model.ts';
import { services } from '../src/services.ts';

type State = 'real' | 'partial' | 'not yet';

interface Row {
  operation: string;
  state: State;
  /** What is missing of a partial one. */
  note: string;
}

interface Section {
  title: string;
  rows: Row[];
}

const page = path.join(import.meta.dirname, '..', 'docs', 'coverage.md');

/** Models of one service (the two names of CodeDeploy's host commands) are one section. */
function sections(): Section[] {
  const bySubject = Map.groupBy(modelNames(), (name) => loadModel(name).metadata.serviceId);
  return [...bySubject]
    .map(([title, names]) => ({ title, rows: mergeRows(names.flatMap(rowsOf)) }))
    .sort((a, b) => (a.title < b.title ? -1 : 1));
}

function rowsOf(name: string): Row[] {
  const model = loadModel(name);
  const registered = services.find((service) => service.name === name)?.operations ?? {};
  // What services ask of each other inside the program is not an operation of AWS.
  const described = Object.values(model.operations).filter(({ internal }) => !internal);
  return [...described.map((operation) => operation.name), ...model.otherOperations].map((operation) => {
    const definition = registered[operation];
    if (!definition) return { operation, state: 'not yet', note: '' };
    return definition.partial ? { operation, state: 'partial', note: definition.partial } : { operation, state: 'real', note: '' };
  });
}

function mergeRows(rows: Row[]): Row[] {
  const byOperation = new Map(rows.map((row) => [row.operation, row]));
  return [...byOperation.values()].sort((a, b) => (a.operation < b.operation ? -1 : 1));
}

function count(rows: Row[], state: State): number {
  return rows.filter((row) => row.state === state).length;
}

function render(all: Section[]): string {
  const total = all.flatMap(({ rows }) => rows);
  const summary = all.map(
    ({ title, rows }) => `| ${title} | ${count(rows, 'real')} | ${count(rows, 'partial')} | ${count(rows, 'not yet')} | ${rows.length} |`,
  );
  return `# What Penstock answers

Made by \`npm run coverage\` from the service models and the registered operations; do not edit it.

- **real**: does what AWS documents, as far as we know and test.
- **partial**: works, but for what the note says.
- **not yet**: answers 501 \`NotImplementedException\` and does nothing.

| service | real | partial | not yet | of |
| --- | ---: | ---: | ---: | ---: |
${summary.join('\n')}
| **all** | ${count(total, 'real')} | ${count(total, 'partial')} | ${count(total, 'not yet')} | ${total.length} |

${all.map(renderSection).join('\n')}`;
}

function renderSection({ title, rows }: Section): string {
  const there = rows.filter(({ state }) => state !== 'not yet');
  const missing = rows.filter(({ state }) => state === 'not yet').map(({ operation }) => operation);
  const table = there.map(({ operation, state, note }) => `| ${operation} | ${state} | ${note.replaceAll('|', '\\|')} |`);
  const parts = [`## ${title}`];
  if (table.length > 0) parts.push(`| operation | state | what is missing |\n| --- | --- | --- |\n${table.join('\n')}`);
  if (missing.length > 0) parts.push(`Not yet: ${missing.join(', ')}.`);
  return `${parts.join('\n\n')}\n`;
}

const text = render(sections());
if (process.argv.includes('--check')) {
  const stale = !existsSync(page) || readFileSync(page, 'utf8') !== text;
  if (stale) {
    console.error('docs/coverage.md is stale: run "npm run coverage" and commit it.');
    process.exitCode = 1;
  }
} else {
  writeFileSync(page, text);
}
