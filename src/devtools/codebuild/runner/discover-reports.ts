/**
 * Reports that nobody named: after its commands a build is searched for files as test and coverage tools write them (CodeBuild user guide,
 * "Auto-discover reports"). The variables that steer it are read as the commands left them.
 */
import type { Machine } from '../../../ports/machines/port.ts';
import { FORMAT_NAMES, type FormatName } from '../reports/formats/formats.ts';
import { runScript } from './machine-tools.ts';
import type { BuildShell } from './shell.ts';

/** By names only: JSON files are too many to look into each. */
const JSON_NAMES = '(^|/)([^/]*cucumber[^/]*\\.json|\\.resultset\\.json)$';

/** How the first element of each format begins, for `grep -E`. */
const BEGINNINGS: Partial<Record<FormatName, string>> = {
  JUNITXML: '<testsuites?[ >]',
  NUNITXML: '<test-results ',
  NUNIT3XML: '<test-run ',
  TESTNGXML: '<testng-results[ >]',
  VISUALSTUDIOTRX: '<TestRun ',
  JACOCOXML: '<report name=',
  COBERTURAXML: '<coverage [^>]*line-rate=',
  CLOVERXML: '<coverage [^>]*(clover|generated)=',
};

/** One line for each file: its format, a space, its path from the source. */
const SCRIPT = `exec 2>/dev/null
shell=$1 source=$2
# What the shell's state says of a variable, in the words of whichever shell wrote it; else what the build began with.
setting() {
  left=$(sed -n -e "s/^export $1=//p" -e "s/^declare -x $1=//p" "$shell/state/env" | tail -n 1 | tr -d "\\"'")
  if [ "$left" ]; then printf '%s' "$left"; else eval "printf '%s' \\"\\$$1\\""; fi
}
[ "$(setting CODEBUILD_CONFIG_AUTO_DISCOVER)" != false ] || exit 0
cd "$source" || exit 0
pattern=$(setting CODEBUILD_CONFIG_AUTO_DISCOVER_DIR)
if [ "$pattern" ]; then
  found=$("$shell/bin/codebuild-glob-search" "$pattern" | grep -E '\\.(xml|trx)$|${JSON_NAMES}')
else
  # Results of others' tests lie about in node_modules.
  found=$(find . \\( -name node_modules -o -name .git \\) -prune -o -type f \\
    \\( -name '*.xml' -o -name '*.trx' -o -name .resultset.json -o -name '*cucumber*.json' \\) -print | sed 's|^\\./||')
fi
[ "$found" ] || exit 0
printf '%s\\n' "$found" | grep -E '${JSON_NAMES}' | sed 's|^.*cucumber[^/]*$|CUCUMBERJSON &|; s|^.*\\.resultset\\.json$|SIMPLECOV &|'
files=$(printf '%s\\n' "$found" | grep -E '\\.(xml|trx)$')
[ "$files" ] || exit 0
of() {
  printf '%s\\n' "$files" | sed 's|^|./|' | tr '\\n' '\\0' | xargs -0 grep -l -E -e "$2" /dev/null | sed "s|^\\./|$1 |"
}
${Object.entries(BEGINNINGS)
  .map(([format, beginning]) => `of ${format} '${beginning}'`)
  .join('\n')}
exit 0`;

interface Search {
  machine: Machine;
  shell: BuildShell;
  sourceDirectory: string;
  signal: AbortSignal;
}

/** Format → files, relative to the source. A file that looks like several formats is of the first one only. */
export async function discoverReports({ machine, shell, sourceDirectory, signal }: Search): Promise<Map<FormatName, string[]>> {
  // Beside the shell: one call of the machine instead of three, which every build pays for.
  const { directory, env } = shell;
  const { stdout } = await runScript(machine, SCRIPT, [directory, sourceDirectory], { env, signal });
  const discovered = new Map<FormatName, string[]>();
  const seen = new Set<string>();
  for (const line of stdout.toString().split('\n').sort()) {
    const space = line.indexOf(' ');
    const file = line.slice(space + 1);
    const format = FORMAT_NAMES.find((name) => name === line.slice(0, Math.max(0, space)));
    if (!format || seen.has(file)) continue;
    seen.add(file);
    discovered.set(format, [...(discovered.get(format) ?? []), file]);
  }
  return discovered;
}
