import assert from 'node:assert/strict';
import { test } from 'node:test';
import { providerVersion } from './git-provider.ts';

const commit = '6113728f27ae82c7b1a177c8d03f9e96e0adf246';

const cases: [version: string, type: string, names: string[], commit?: string][] = [
  ['', 'GITHUB', []],
  ['main', 'GITHUB', ['refs/heads/main', 'refs/tags/main', 'main']],
  ['refs/heads/feature/x', 'GITHUB', ['refs/heads/feature/x']],
  [commit, 'GITHUB', [`refs/heads/${commit}`, `refs/tags/${commit}`, commit]],
  [`refs/heads/main^{${commit.toUpperCase()}}`, 'GITHUB', [commit.toUpperCase(), 'refs/heads/main'], commit],
  ['main^{6113728}', 'GITHUB', ['6113728', 'main']],
  ['pr/7', 'GITHUB', ['refs/pull/7/head', 'refs/heads/pr/7']],
  ['pr-7', 'GITHUB_ENTERPRISE', ['refs/pull/7/head', 'refs/heads/pr-7']],
  ['pr/8', 'GITLAB', ['refs/merge-requests/8/head', 'refs/heads/pr/8']],
  ['pr/8', 'GITLAB_SELF_MANAGED', ['refs/merge-requests/8/head', 'refs/heads/pr/8']],
  ['pr/9', 'BITBUCKET', ['refs/heads/pr/9', 'refs/tags/pr/9', 'pr/9']],
  ['pr/x', 'GITHUB', ['refs/heads/pr/x', 'refs/tags/pr/x', 'pr/x']],
];

for (const [version, type, names, wanted] of cases) {
  test(`${version || 'no version'} of ${type}`, () => {
    assert.deepEqual(providerVersion(version, type), { names, commit: wanted });
  });
}
