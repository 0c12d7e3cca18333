/** Shares as CodeBuild shows them: in per cent, cut to two places (10 of 11 is 90.9, in AWS's own example), and 0 of nothing. */
export function percentage(part: number, all: number): number {
  return all === 0 ? 0 : Math.floor((part * 10_000) / all) / 100;
}

interface Totals {
  linesCovered: number;
  linesMissed: number;
  branchesCovered: number;
  branchesMissed: number;
}

/** As the API tells the coverage of a file, and of a report. */
export function coverageShares({ linesCovered, linesMissed, branchesCovered, branchesMissed }: Totals) {
  return {
    lineCoveragePercentage: percentage(linesCovered, linesCovered + linesMissed),
    linesCovered,
    linesMissed,
    branchCoveragePercentage: percentage(branchesCovered, branchesCovered + branchesMissed),
    branchesCovered,
    branchesMissed,
  };
}
