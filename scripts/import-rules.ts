/**
 * Checks the direction of imports: `npm run rules`. Imports of types count like code, since they bind two places just as much; only in
 * circles they do not, because an interface and what implements it may name each other.
 *
 * Our own, because dependency-cruiser and its like read TypeScript by the compiler's API, which TypeScript 7 does not have.
 */
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parseSync } from 'oxc-parser';

/** What a folder of `src/` may import besides itself. A service imports no other service; what two of them need lives in `platform/`. */
const LAYERS: Record<string, string[]> = {
  gateway: ['devtools', 'cloud', 'git', 'platform', 'ports', 'generated'],
  devtools: ['git', 'platform', 'ports', 'generated'],
  cloud: ['git', 'platform', 'ports', 'generated'],
  git: ['platform', 'ports', 'generated'],
  platform: ['ports', 'generated'],
  ports: [],
  agent: [],
  generated: [],
};
/** In these folders each subfolder is a house of its own. */
const HOUSES = new Set(['devtools', 'cloud', 'ports']);
/** Where the program is put together: may import everything, and is imported by nothing else. */
const COMPOSITION = /^src\/(main|start|compose|services)\.ts$|^src\/commands\//;
/** Tests and what only they use may reach anything that they test, and are imported by nothing else. */
const TESTS = /^test\/|\.test\.ts$|\/(testing[a-z-]*|client|(test|fake|memory)-[a-z-]+)\.ts$/;

interface Import {
  from: string;
  to: string;
  /** Erased before the program runs. */
  typeOnly: boolean;
}

const root = path.join(import.meta.dirname, '..');
const files = globSync(['src/**/*.ts', 'test/**/*.ts', 'bench/**/*.ts', 'scripts/**/*.ts'], { cwd: root }).sort();
const developmentOnly = Object.keys(JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')).devDependencies);
const imports = files.flatMap(importsOf);
const problems = [...imports.flatMap((item) => complaint(item) ?? []), ...cycles()];
for (const problem of problems) console.error(problem);
console.log(`${files.length} files, ${imports.length} imports, ${problems.length} against the rules`);
if (problems.length > 0) process.exitCode = 1;

/** Files by their path in the repository, packages by their name. */
function importsOf(file: string): Import[] {
  const text = readFileSync(path.join(root, file), 'utf8');
  const { staticImports, staticExports, dynamicImports } = parseSync(file, text).module;
  const named = [
    ...staticImports.map(({ moduleRequest, entries }) => ({
      name: moduleRequest.value,
      typeOnly: entries.length > 0 && entries.every((entry) => entry.isType),
    })),
    ...staticExports
      .flatMap(({ entries }) => entries)
      .flatMap(({ moduleRequest, isType }) => (moduleRequest ? { name: moduleRequest.value, typeOnly: isType } : [])),
    ...dynamicImports.flatMap(({ moduleRequest }) => {
      const literal = /^['"](.+)['"]$/s.exec(text.slice(moduleRequest.start, moduleRequest.end));
      return literal ? { name: literal[1]!, typeOnly: false } : [];
    }),
  ];
  return named.map(({ name, typeOnly }) => ({
    from: file,
    to: name.startsWith('.') ? path.posix.join(path.dirname(file), name) : name,
    typeOnly,
  }));
}

/** What is wrong with one import, if anything. */
function complaint({ from, to }: Import): string | undefined {
  if (!from.startsWith('src/') || TESTS.test(from)) return undefined;
  const against = (rule: string) => `${from} imports ${to}: ${rule}`;
  if (!to.startsWith('src/')) {
    const development = developmentOnly.some((name) => to === name || to.startsWith(`${name}/`));
    return development ? against('the program runs without the devDependencies') : undefined;
  }
  if (TESTS.test(to)) return against('only tests import what is made for tests');
  if (COMPOSITION.test(from)) return undefined;
  if (COMPOSITION.test(to)) return against('nothing depends on how the program is put together');
  const [, layer, house] = from.split('/') as [string, string, string];
  const [, toLayer, toHouse, toFile] = to.split('/') as [string, string, string, string];
  if (layer === toLayer) {
    return HOUSES.has(layer) && house !== toHouse ? against(`${layer}/${house} knows ${toLayer}/${toHouse} only by its API`) : undefined;
  }
  if (!LAYERS[layer]?.includes(toLayer)) return against(`${layer}/ does not know ${toLayer}/`);
  if (toLayer === 'ports' && toFile !== 'port.ts') return against('a driver is chosen where the program is put together');
  return undefined;
}

/** Files that need each other to run. */
function cycles(): string[] {
  const edges = Map.groupBy(
    imports.filter(({ typeOnly }) => !typeOnly),
    ({ from }) => from,
  );
  const finished = new Set<string>();
  const found: string[] = [];
  const visit = (file: string, trail: string[]): void => {
    if (trail.includes(file)) found.push(`imports go round: ${[...trail.slice(trail.indexOf(file)), file].join(' → ')}`);
    if (finished.has(file) || trail.includes(file)) return;
    for (const { to } of edges.get(file) ?? []) visit(to, [...trail, file]);
    finished.add(file);
  };
  for (const file of files) visit(file, []);
  return found;
}
