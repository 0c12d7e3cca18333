/**
 * SIMPLECOV: `.resultset.json`, where each command's run has the hits of each line (null: no code), before version 0.18 as a bare list, since
 * then beside branches; and `coverage.json` of the formatter that comes with SimpleCov.
 */
import { type Findings, OtherFormat } from './result.ts';

interface Hits {
  lines: (number | null)[];
  /** By where it is. */
  branches: Map<string, number>;
}

export function readSimpleCov(document: unknown, findings: Findings): void {
  const files = new Map<string, Hits>();
  for (const coverage of runsOf(document)) {
    for (const [path, found] of Object.entries(coverage)) {
      const before = files.get(path);
      const hits = hitsOf(found);
      files.set(path, before ? merge(before, hits) : hits);
    }
  }
  for (const [filePath, { lines, branches }] of files) {
    const code = lines.filter((hits) => hits !== null);
    const linesCovered = code.filter((hits) => hits > 0).length;
    const branchesCovered = [...branches.values()].filter((hits) => hits > 0).length;
    findings.coverage({
      filePath,
      linesCovered,
      linesMissed: code.length - linesCovered,
      branchesCovered,
      branchesMissed: branches.size - branchesCovered,
    });
  }
}

function runsOf(document: unknown): Record<string, unknown>[] {
  if (!isObject(document)) throw new OtherFormat('it is no object');
  if (isObject(document.meta) && isObject(document.coverage)) return [document.coverage];
  const runs = Object.values(document).map((run) => (isObject(run) && isObject(run.coverage) ? run.coverage : undefined));
  if (runs.length === 0 || runs.includes(undefined)) throw new OtherFormat('it has no coverage of a command');
  return runs as Record<string, unknown>[];
}

function hitsOf(found: unknown): Hits {
  if (Array.isArray(found)) return { lines: found.map(hitOf), branches: new Map() };
  if (!isObject(found) || !Array.isArray(found.lines)) throw new OtherFormat('a file has no lines');
  return { lines: found.lines.map(hitOf), branches: branchesOf(found.branches) };
}

/** null is no code; "ignored" is code that is not to be counted. */
function hitOf(value: unknown): number | null {
  return typeof value === 'number' ? value : null;
}

/** `{ condition: { branch: hits } }`, or a list of branches. */
function branchesOf(value: unknown): Map<string, number> {
  const branches = new Map<string, number>();
  if (Array.isArray(value)) {
    for (const [index, branch] of value.entries()) {
      if (isObject(branch) && typeof branch.coverage === 'number') branches.set(String(index), branch.coverage);
    }
  } else if (isObject(value)) {
    for (const [condition, inner] of Object.entries(value)) {
      if (!isObject(inner)) continue;
      for (const [branch, hits] of Object.entries(inner)) branches.set(`${condition} ${branch}`, Number(hits) || 0);
    }
  }
  return branches;
}

/** Several commands ran the same file: a line was run if one of them ran it. */
function merge(one: Hits, other: Hits): Hits {
  const branches = new Map(one.branches);
  for (const [branch, hits] of other.branches) branches.set(branch, (branches.get(branch) ?? 0) + hits);
  const length = Math.max(one.lines.length, other.lines.length);
  const lines = Array.from({ length }, (_, index) => {
    const [a = null, b = null] = [one.lines[index], other.lines[index]];
    return a === null || b === null ? (a ?? b) : a + b;
  });
  return { lines, branches };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
