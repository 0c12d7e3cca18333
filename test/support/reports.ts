/** Builds that hand in reports. */

/** A buildspec whose build writes these files and hands them in. */
export function writing(files: Record<string, string>, reports: string): string {
  const commands = Object.entries(files).map(([name, text]) => `mkdir -p "$(dirname ${name})" && printf %s ${quoted(text)} >${name}`);
  return `version: 0.2\nphases:\n  build:\n    commands:\n${commands.map((text) => `      - ${JSON.stringify(text)}\n`).join('')}reports:\n${reports}`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** One test that passed, one that failed, one that was skipped. */
export const JUNIT = `<testsuite name="unit"><testcase classname="a.B" name="fine" time="0.25"/><testcase classname="a.B" name="fails 100%" time="0.5">
<failure message="no">trace</failure></testcase><testcase classname="c.D" name="later"><skipped/></testcase></testsuite>`;
/** Two files with lines, one without; 15 of 21 lines covered. */
export const JACOCO = `<report name="x"><package name="p"><sourcefile name="A.java"><counter type="LINE" missed="1" covered="10"/><counter type="BRANCH" missed="1" covered="1"/></sourcefile>
<sourcefile name="B.java"><counter type="LINE" missed="5" covered="5"/></sourcefile><sourcefile name="C.java"/></package></report>`;
