/** The reports section: which files go to which report group, and in which format they are. */
import { FORMAT_NAMES, type FormatName } from '../reports/formats/formats.ts';
import type { Report } from './buildspec.ts';
import { flagAt, lineAt, mapAt, textAt, textsAt } from './reader.ts';
import { BuildspecError, type YamlMap } from './yaml-tree.ts';

/** CodeBuild user guide, "Quotas": reports that a project can have. */
const MAX_GROUPS = 5;
const GROUP = /^(arn:aws:codebuild:[\w-]+:\d{12}:report-group\/)?[A-Za-z0-9][A-Za-z0-9_-]*$/;

export function readReports(map: YamlMap): Map<string, Report> {
  const reports = new Map<string, Report>();
  for (const group of map.entries.keys()) {
    if (!GROUP.test(group)) throw new BuildspecError(`invalid report group '${group}' at line ${lineAt(map, group)}`);
    reports.set(group, readReport(mapAt(map, group), group, lineAt(map, group)));
  }
  if (reports.size > MAX_GROUPS)
    throw new BuildspecError(`reports has ${reports.size} report groups at line ${map.line}, the most is ${MAX_GROUPS}`);
  return reports;
}

function readReport(map: YamlMap, group: string, line: number): Report {
  const files = textsAt(map, 'files');
  if (files.length === 0) throw new BuildspecError(`report ${group}: files is missing or empty at line ${line}`);
  return { files, format: readFormat(map), baseDirectory: textAt(map, 'base-directory'), discardPaths: flagAt(map, 'discard-paths') };
}

function readFormat(map: YamlMap): FormatName {
  const text = textAt(map, 'file-format') ?? 'JUNITXML';
  const format = FORMAT_NAMES.find((name) => name === text.toUpperCase());
  if (format) return format;
  throw new BuildspecError(
    `invalid file-format '${text}' at line ${lineAt(map, 'file-format')}. Expecting: ${[...FORMAT_NAMES].sort().join(',')}`,
  );
}
