/** Writes `src/generated/`: the types of every operation's input, output and errors, from `models/`. Types only; not committed. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { ServiceModel, Shape } from '../src/platform/model.ts';

const root = path.join(import.meta.dirname, '..');
const target = path.join(root, 'src', 'generated');
const HEADER = '// Made by scripts/generate-types.ts from models/. Do not edit.\n';

function typeOf(model: ServiceModel, name: string, streaming = false): string {
  const shape: Shape = model.shapes[name]!;
  switch (shape.type) {
    case 'structure':
      return shape.eventstream ? `AsyncIterable<Shapes[${JSON.stringify(name)}]>` : `Shapes[${JSON.stringify(name)}]`;
    case 'list':
      return `Array<${typeOf(model, shape.member!.shape)}>`;
    case 'map':
      return `Record<string, ${typeOf(model, shape.value!.shape)}>`;
    case 'string':
      return shape.enum ? shape.enum.map((value) => JSON.stringify(value)).join(' | ') : 'string';
    case 'blob':
      return streaming ? 'Readable | Uint8Array' : 'Uint8Array';
    case 'timestamp':
      return 'Date';
    case 'boolean':
      return 'boolean';
    default:
      return 'number';
  }
}

function structure(model: ServiceModel, shape: Shape): string {
  const members = Object.entries(shape.members ?? {}).map(([name, member]) => {
    const required = shape.required?.includes(name) && !shape.exception;
    const type = typeOf(model, member.shape, member.streaming || model.shapes[member.shape]?.streaming);
    return `    ${JSON.stringify(name)}${required ? '' : '?'}: ${type}${required ? '' : ' | undefined'};`;
  });
  return `{\n${members.join('\n')}\n  }`;
}

function serviceTypes(model: ServiceModel): string {
  const shapes = Object.entries(model.shapes)
    .filter(([, shape]) => shape.type === 'structure')
    .map(([name, shape]) => `  ${JSON.stringify(name)}: ${structure(model, shape)};`);
  const operations = Object.entries(model.operations).map(([name, operation]) => {
    const errors = (operation.errors ?? []).map((error) => JSON.stringify(model.shapes[error.shape]?.error?.code ?? error.shape));
    const input = operation.input ? `Shapes[${JSON.stringify(operation.input.shape)}]` : 'Record<string, never>';
    const output = operation.output ? `Shapes[${JSON.stringify(operation.output.shape)}]` : 'Record<string, never>';
    return `  ${name}: { input: ${input}; output: ${output}; errors: ${errors.join(' | ') || 'never'} };`;
  });
  const stream = shapes.some((text) => text.includes('Readable')) ? "import type { Readable } from 'node:stream';\n\n" : '';
  return `${HEADER}${stream}export interface Shapes {\n${shapes.join('\n')}\n}\n\nexport interface Operations {\n${operations.join('\n')}\n}\n`;
}

rmSync(target, { recursive: true, force: true });
mkdirSync(target, { recursive: true });
const services = readdirSync(path.join(root, 'models'))
  .filter((file) => file.endsWith('.json') && !file.endsWith('.patch.json'))
  .map((file) => file.slice(0, -'.json'.length))
  .sort();
for (const service of services) {
  const model = JSON.parse(readFileSync(path.join(root, 'models', `${service}.json`), 'utf8')) as ServiceModel;
  writeFileSync(path.join(target, `${service}.ts`), serviceTypes(model));
}
const camel = (service: string): string => service.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
const imports = services.map(
  (service) => `import type { Operations as ${camel(service)}, Shapes as ${camel(service)}Shapes } from './${service}.ts';`,
);
const members = services.map((service) => `  '${service}': ${camel(service)};`);
const shapeMembers = services.map((service) => `  '${service}': ${camel(service)}Shapes;`);
writeFileSync(
  path.join(target, 'models.ts'),
  `${HEADER}${imports.join('\n')}\n\nexport interface Models {\n${members.join('\n')}\n}\n\nexport interface ModelShapes {\n${shapeMembers.join('\n')}\n}\n`,
);
