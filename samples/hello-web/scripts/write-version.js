// Writes what this build is: the version of package.json, the commit and the build it came from.
import { readFileSync, writeFileSync } from 'node:fs';

const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
const { CODEBUILD_RESOLVED_SOURCE_VERSION: commit = 'none', CODEBUILD_BUILD_ID: build = 'local' } = process.env;
writeFileSync('version.json', `${JSON.stringify({ version, commit, build })}\n`);
